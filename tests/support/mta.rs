//! An MTA that talks to waxseal (or straight to an MX), one command at a time or a whole delivery at once.

use std::{fmt, net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, TlsStream};

use waxseal::policy::delivery_id::DeliveryId;

use super::{ca::Identity, stream::Stream, within};

/// A reply: its code, and the text of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
    /// The id of the delivery, taken out of the text: no two are alike.
    pub(crate) id: Option<String>,
}

impl Reply {
    /// The text, its lines joined by line breaks.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The enhanced status code, or nothing.
    pub(crate) fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        (word.split('.').count() == 3 && word.split('.').all(is_number)).then_some(word)
    }

    /// Whether EHLO offered this capability, by its first word.
    pub(crate) fn offers(&self, keyword: &str) -> bool {
        self.lines
            .iter()
            .skip(1)
            .any(|line| line.split(' ').next() == Some(keyword))
    }

    pub(crate) fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Smtp,
    Lmtp,
}

/// Whether a BDAT chunk is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    More,
    Last,
}

/// The replies to one message.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) mail: Reply,
    pub(crate) rcpt: Vec<Reply>,
    pub(crate) data: Reply,
    /// After the data: one reply, or with LMTP one for each accepted recipient. Empty when DATA was refused.
    pub(crate) end: Vec<Reply>,
}

impl Delivery {
    /// The code that decides over the message as a whole: the last one.
    pub(crate) fn code(&self) -> u16 {
        self.end.last().unwrap_or(&self.data).code
    }

    /// The codes after the data.
    pub(crate) fn end_codes(&self) -> Vec<u16> {
        self.end.iter().map(|reply| reply.code).collect()
    }
}

/// A connection from an MTA. Each wait is bounded, and says what it waited for.
pub(crate) struct Mta {
    io: BufReader<Stream>,
    dialect: Dialect,
    said: String,
}

impl Mta {
    /// Connects, and does not read the greeting.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::dial(address, Dialect::Smtp).await
    }

    /// Connects, reads the greeting and says EHLO.
    pub(crate) async fn smtp(address: SocketAddr) -> Self {
        Self::dial(address, Dialect::Smtp).await.greeted().await
    }

    /// Connects, reads the greeting and says LHLO.
    pub(crate) async fn lmtp(address: SocketAddr) -> Self {
        Self::dial(address, Dialect::Lmtp).await.greeted().await
    }

    async fn dial(address: SocketAddr, dialect: Dialect) -> Self {
        let tcp = within(
            &format!("a connection to {address}"),
            TcpStream::connect(address),
        )
        .await;
        let tcp = tcp.unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        Self::over(tcp, dialect)
    }

    /// One on a connection that has been made.
    pub(crate) fn over(tcp: TcpStream, dialect: Dialect) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self {
            io: BufReader::new(Stream::Plain(tcp)),
            dialect,
            said: "connecting".to_owned(),
        }
    }

    /// Reads the greeting and says EHLO or LHLO.
    pub(crate) async fn greeted(mut self) -> Self {
        let greeting = self.read_reply().await;
        assert_eq!(greeting.code, 220, "greeting: {greeting}");
        let hello = self.hello().await;
        assert_eq!(hello.code, 250, "hello: {hello}");
        self
    }

    /// EHLO or LHLO, as `mta.test`.
    pub(crate) async fn hello(&mut self) -> Reply {
        match self.dialect {
            Dialect::Smtp => self.command("EHLO mta.test").await,
            Dialect::Lmtp => self.command("LHLO mta.test").await,
        }
    }

    pub(crate) async fn read_reply(&mut self) -> Reply {
        let mut reply = Reply {
            code: 0,
            lines: Vec::new(),
            id: None,
        };
        loop {
            let line = self.read_line().await;
            let (code, text) = line
                .split_at_checked(3)
                .unwrap_or_else(|| panic!("not a reply: {line:?}"));
            reply.code = code
                .parse()
                .unwrap_or_else(|_| panic!("not a reply: {line:?}"));
            let mut text = text.to_owned();
            let is_last = !text.starts_with('-');
            if is_last {
                reply.id = take_id(&mut text);
            }
            reply
                .lines
                .push(text.get(1..).unwrap_or_default().to_owned());
            if is_last {
                return reply;
            }
        }
    }

    async fn read_line(&mut self) -> String {
        let what = format!("a reply to {}", self.said);
        let mut line = Vec::new();
        let read = within(&what, self.io.read_until(b'\n', &mut line)).await;
        if let Err(error) = read {
            panic!("no {what}: {error}");
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        line.strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("no {what}: closed after {line:?}"))
            .to_owned()
    }

    /// Sends these bytes and nothing else.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes).await {
            panic!("cannot send {}: {error}", self.said);
        }
    }

    /// Sends, to a peer that may have closed.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.said = format!("\"{}\"", bytes[..bytes.len().min(80)].escape_ascii());
        within(&format!("the peer to take {}", self.said), async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        })
        .await
    }

    pub(crate) async fn command(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.read_reply().await
    }

    /// Sends the commands in one write; one reply for each.
    pub(crate) async fn pipeline(&mut self, lines: &[&str]) -> Vec<Reply> {
        let wire = lines.join("\r\n") + "\r\n";
        self.send(wire.as_bytes()).await;
        let mut replies = Vec::new();
        for line in lines {
            self.said = format!("{line:?} of a pipeline");
            replies.push(self.read_reply().await);
        }
        replies
    }

    /// Sends a body after the 354, dot-stuffed, with the final dot; the first reply.
    pub(crate) async fn data(&mut self, body: &[u8]) -> Reply {
        self.send(&stuffed(body)).await;
        "the end of data".clone_into(&mut self.said);
        self.read_reply().await
    }

    /// Sends one chunk.
    pub(crate) async fn bdat(&mut self, chunk: &[u8], which: Chunk) -> Reply {
        let last = if which == Chunk::Last { " LAST" } else { "" };
        let wire = [format!("BDAT {}{last}\r\n", chunk.len()).as_bytes(), chunk].concat();
        self.send(&wire).await;
        self.read_reply().await
    }

    /// A whole message, MAIL, RCPT and DATA pipelined; after [`Mta::smtp`] or [`Mta::lmtp`].
    pub(crate) async fn deliver(&mut self, from: &str, to: &[&str], body: &[u8]) -> Delivery {
        let mut lines = vec![format!("MAIL FROM:<{from}>")];
        lines.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        lines.push("DATA".to_owned());
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut replies = self.pipeline(&lines).await;
        let data = replies.pop().unwrap();
        let mail = replies.remove(0);
        let end = if data.code == 354 {
            self.finish(body, &replies).await
        } else {
            Vec::new()
        };
        Delivery {
            mail,
            rcpt: replies,
            data,
            end,
        }
    }

    /// RFC 2033 §4.2: LMTP replies once for each recipient that was accepted.
    async fn finish(&mut self, body: &[u8], rcpt: &[Reply]) -> Vec<Reply> {
        let accepted = rcpt.iter().filter(|reply| reply.is_positive()).count();
        let mut end = vec![self.data(body).await];
        while self.dialect == Dialect::Lmtp && end.len() < accepted {
            end.push(self.read_reply().await);
        }
        end
    }

    /// STARTTLS with a server that `ca_pem` vouches for under this name; does not say EHLO again.
    pub(crate) async fn starttls(self, ca_pem: &str, server_name: &str) -> Self {
        self.starttls_as(ca_pem, server_name, None).await
    }

    /// STARTTLS with whoever answers.
    pub(crate) async fn starttls_with_anybody(self) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        self.starttls_by(config, "anybody.test").await
    }

    /// The same, with a client certificate.
    pub(crate) async fn starttls_as(
        self,
        ca_pem: &str,
        server_name: &str,
        client: Option<&Identity>,
    ) -> Self {
        let config = client_config(ca_pem, client);
        self.starttls_by(config, server_name).await
    }

    async fn starttls_by(mut self, config: ClientConfig, server_name: &str) -> Self {
        let ready = self.command("STARTTLS").await;
        assert_eq!(ready.code, 220, "STARTTLS: {ready}");
        assert_eq!(
            self.io.buffer().escape_ascii().to_string(),
            "",
            "plaintext behind the 220"
        );
        let Stream::Plain(tcp) = self.io.into_inner() else {
            panic!("STARTTLS under TLS")
        };
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let stream = within("the TLS handshake", connector.connect(name, tcp)).await;
        let stream =
            stream.unwrap_or_else(|error| panic!("TLS handshake with {server_name}: {error}"));
        self.io = BufReader::new(Stream::Tls(Box::new(TlsStream::Client(stream))));
        self
    }

    /// Whatever comes until the peer closes or resets the connection.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let what = format!("the peer to close after {}", self.said);
        let _ = within(&what, self.io.read_to_end(&mut rest)).await;
        rest
    }

    /// QUIT, and whatever comes until the connection ends.
    pub(crate) async fn quit_quietly(mut self) -> Vec<u8> {
        self.send(b"QUIT\r\n").await;
        self.read_to_end().await
    }

    /// QUIT, and the end of the connection.
    pub(crate) async fn quit(mut self) -> Reply {
        let reply = self.command("QUIT").await;
        assert_eq!(self.read_to_end().await, b"", "after the reply to QUIT");
        reply
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn client_config(ca_pem: &str, client: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match client {
        None => config.with_no_client_auth(),
        Some(identity) => config
            .with_client_auth_cert(identity.chain.clone(), identity.key())
            .unwrap(),
    }
}

/// Takes the id out of `.. [mx.test plaintext 01kb5cw8r0v4q8zj2m6tn3x9fy]` and `.. (01kb5cw8r0v4q8zj2m6tn3x9fy)`.
fn take_id(text: &mut String) -> Option<String> {
    let (before, last) = text.rsplit_once(' ')?;
    let id = last.trim_start_matches('(').trim_end_matches([')', ']']);
    id.parse::<DeliveryId>().ok()?;
    let (id, end) = (id.to_owned(), if last.ends_with(']') { "]" } else { "" });
    *text = format!("{before}{end}");
    Some(id)
}

/// RFC 5321 §4.5.2: a dot before each line that begins with one; then the line with the dot alone.
fn stuffed(body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + 16);
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") && (wire.is_empty() || wire.ends_with(b"\r\n")) {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
