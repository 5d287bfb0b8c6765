//! The configured name servers, asked in turn until one answers.
//!
//! A query goes out over UDP, each time from a fresh random port, and again over TCP when the answer is
//! truncated (RFC 7766 §5). A response code other than success and NXDOMAIN is an error here: nobody
//! further up can take it for an absence.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use hickory_resolver::net::client::Client;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsHandle, DnsRequestSender, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, ResponseCode};
use tokio::time::timeout;

/// Datagrams sent for one query to one server, while its time runs: one may be lost.
const RETRANSMISSIONS: u8 = 2;

/// Whether a validating server should withhold what it finds bogus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checking {
    /// It should: its word counts.
    Server,
    /// It should not: waxseal looks for itself (RFC 6840 §5.9).
    Own,
}

/// Name servers with the same answers.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    addresses: Arc<[SocketAddr]>,
    /// The one that answered last, asked first.
    preferred: Arc<AtomicUsize>,
    /// For one query to one server.
    timeout: Duration,
    /// Rounds through all servers.
    attempts: usize,
    checking: Checking,
}

impl Servers {
    pub(super) fn new(
        addresses: &[SocketAddr],
        timeout: Duration,
        attempts: usize,
        checking: Checking,
    ) -> Self {
        Self {
            addresses: addresses.into(),
            preferred: Arc::default(),
            timeout,
            attempts,
            checking,
        }
    }

    /// The first answer of any server.
    pub(super) async fn ask(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = NetError::Timeout;
        for _ in 0..self.attempts {
            for turn in 0..self.addresses.len() {
                let index = (first + turn) % self.addresses.len();
                match self.ask_one(self.addresses[index], request.clone()).await {
                    Ok(response) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(response);
                    }
                    Err(error) => last = error,
                }
            }
            // A code is an answer: the same servers have no other a moment later.
            if let NetError::Dns(DnsError::ResponseCode(_)) = last {
                break;
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        server: SocketAddr,
        request: DnsRequest,
    ) -> Result<DnsResponse, NetError> {
        let response = self.ask_twice(server, request.clone()).await?;
        let response = match response.metadata.response_code {
            ResponseCode::FormErr | ResponseCode::NotImp if can_do_without_edns(&request) => {
                self.ask_twice(server, without_edns(request)).await?
            }
            _ => response,
        };
        match response.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(response),
            code => Err(NetError::Dns(DnsError::ResponseCode(code))),
        }
    }

    /// Over UDP, and where the answer is truncated over TCP.
    async fn ask_twice(
        &self,
        server: SocketAddr,
        request: DnsRequest,
    ) -> Result<DnsResponse, NetError> {
        let response = self.ask_udp(server, request.clone()).await?;
        if response.metadata.truncation {
            return self.ask_tcp(server, request).await;
        }
        Ok(response)
    }

    async fn ask_udp(
        &self,
        server: SocketAddr,
        request: DnsRequest,
    ) -> Result<DnsResponse, NetError> {
        UdpClientStream::builder(server, TokioRuntimeProvider::default())
            .with_timeout(Some(self.timeout))
            .with_max_retries(RETRANSMISSIONS)
            .build()
            .send_message(request)
            .first_answer()
            .await
    }

    async fn ask_tcp(
        &self,
        server: SocketAddr,
        request: DnsRequest,
    ) -> Result<DnsResponse, NetError> {
        let provider = TokioRuntimeProvider::default();
        let exchange = async {
            let (connecting, sender) =
                TcpClientStream::new(server, None, Some(self.timeout), provider);
            let (client, background) = Client::<TokioRuntimeProvider>::with_timeout(
                connecting.await?,
                sender,
                self.timeout,
            );
            // Ends when the client is dropped.
            tokio::spawn(background);
            client.send(request).first_answer().await
        };
        let response = timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(NetError::Timeout))?;
        // Half an answer is none, and there is nothing left to try.
        if response.metadata.truncation {
            return Err(NetError::from("the answer over TCP is truncated"));
        }
        Ok(response)
    }
}

/// RFC 6891 §7: an old server answers EDNS with an error. Signatures cannot be asked for without it.
fn can_do_without_edns(request: &DnsRequest) -> bool {
    request
        .edns
        .as_ref()
        .is_some_and(|edns| !edns.flags().dnssec_ok)
}

fn without_edns(mut request: DnsRequest) -> DnsRequest {
    request.edns = None;
    request
}

impl DnsHandle for Servers {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        request.metadata.checking_disabled = self.checking == Checking::Own;
        let servers = self.clone();
        stream::once(async move { servers.ask(request).await }).boxed()
    }
}
