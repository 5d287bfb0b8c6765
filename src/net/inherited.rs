//! Sockets that whoever started waxseal has opened already: systemd's socket activation.
//!
//! A service manager can bind a privileged port, or hold connections while waxseal restarts, and pass the
//! listening sockets on (`sd_listen_fds(3)`). A socket takes the place of the listener that is configured for its
//! very address, so that nothing has to be said twice.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// Listening sockets that were passed on.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<TcpListener>,
    /// Descriptors that are no TCP sockets, and why.
    refused: Vec<io::Error>,
}

impl Inherited {
    /// Takes them over from the environment. To be called once, and before there are threads: the variables
    /// of the environment are removed, so that no child takes them for its own.
    pub fn take() -> Self {
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for at in 0..passed.len() {
            match passed.take_tcp_listener(at) {
                Ok(socket) => inherited.sockets.extend(socket),
                Err(error) => inherited.refused.push(error),
            }
        }
        inherited
    }

    /// The socket that listens at this very address.
    pub fn at(&mut self, address: SocketAddr) -> Option<io::Result<tokio::net::TcpListener>> {
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
        let found = self.sockets.iter().position(is_it)?;
        let socket = self.sockets.swap_remove(found);
        let ready = socket.set_nonblocking(true);
        Some(ready.and_then(|()| tokio::net::TcpListener::from_std(socket)))
    }

    /// What is left belongs to no listener: says so, and closes it.
    pub fn close_others(self) {
        for socket in &self.sockets {
            let address = socket.local_addr().ok();
            tracing::warn!(
                address = address.map(tracing::field::display),
                "a socket was passed on that no listener of the configuration is for; it is closed"
            );
        }
        for error in &self.refused {
            tracing::warn!(%error, "a descriptor was passed on that is no TCP socket; it is left alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_found_by_its_address_and_once() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut inherited = Inherited {
            sockets: vec![other, socket],
            refused: Vec::new(),
        };
        let found = inherited.at(address).unwrap().unwrap();
        assert_eq!(found.local_addr().unwrap(), address);
        assert!(inherited.at(address).is_none());
        assert_eq!(inherited.sockets.len(), 1);
    }
}
