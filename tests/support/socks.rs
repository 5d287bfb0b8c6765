//! A SOCKS client (RFC 1928): the way for a test to choose the address that is dialled.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::mta::{Dialect, Mta};
use super::within;

/// How a client goes about it. The default needs no password and comes from 127.0.0.1.
#[derive(Clone, Copy, Default)]
pub(crate) struct Client<'a> {
    pub(crate) from: Option<IpAddr>,
    pub(crate) login: Option<(&'a str, &'a str)>,
}

impl Client<'_> {
    /// Asks for a connection: an MTA that has not yet read the greeting, or the code of the reply. `target` is an
    /// address or a name.
    pub(crate) async fn connect(
        self,
        proxy: SocketAddr,
        target: &str,
        port: u16,
    ) -> Result<Mta, u8> {
        let mut tcp = within("the SOCKS proxy", self.dial(proxy)).await;
        within("the SOCKS dialogue", async {
            if !self.log_in(&mut tcp).await {
                return Err(0xff);
            }
            tcp.write_all(&request(1, target, port)).await.unwrap();
            match reply(&mut tcp).await {
                0 => Ok(Mta::over(tcp, Dialect::Smtp)),
                code => Err(code),
            }
        })
        .await
    }

    async fn dial(self, proxy: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(from) = self.from {
            socket.bind((from, 0).into()).unwrap();
        }
        socket.connect(proxy).await.unwrap()
    }

    /// With a login it is the only method that is offered.
    async fn log_in(self, tcp: &mut TcpStream) -> bool {
        let method = if self.login.is_some() { 2 } else { 0 };
        tcp.write_all(&[5, 1, method]).await.unwrap();
        let mut answer = [0; 2];
        tcp.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[0], 5);
        if answer[1] == 0xff {
            assert_eq!(tcp.read(&mut [0]).await.unwrap(), 0, "the end");
            return false;
        }
        assert_eq!(answer[1], method);
        let Some((user, password)) = self.login else {
            return true;
        };
        let mut wire = vec![1];
        for word in [user, password] {
            wire.push(u8::try_from(word.len()).unwrap());
            wire.extend(word.bytes());
        }
        tcp.write_all(&wire).await.unwrap();
        tcp.read_exact(&mut answer).await.unwrap();
        answer == [1, 0]
    }
}

/// A request, such as CONNECT (1).
pub(crate) fn request(command: u8, target: &str, port: u16) -> Vec<u8> {
    let mut wire = vec![5, command, 0];
    match target.parse() {
        Ok(IpAddr::V4(address)) => {
            wire.push(1);
            wire.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            wire.push(4);
            wire.extend(address.octets());
        }
        Err(_) => {
            wire.extend([3, u8::try_from(target.len()).unwrap()]);
            wire.extend(target.bytes());
        }
    }
    wire.extend(port.to_be_bytes());
    wire
}

/// The code of the reply.
async fn reply(tcp: &mut TcpStream) -> u8 {
    let mut head = [0; 4];
    tcp.read_exact(&mut head).await.unwrap();
    let length = if head[3] == 4 { 18 } else { 6 };
    tcp.read_exact(&mut vec![0; length]).await.unwrap();
    head[1]
}
