//! waxseal's own connections, known again when a firewall sends them back.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::is_local;

/// The addresses that connections under way leave from. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Outgoing(Arc<Mutex<HashSet<SocketAddr>>>);

/// A connection under way; forgotten when dropped.
#[derive(Debug)]
pub struct UnderWay {
    all: Outgoing,
    from: SocketAddr,
}

impl Outgoing {
    /// Notes a connection that is about to be made from `from`; a port of no address stands for any.
    pub(super) fn note(&self, from: SocketAddr) -> UnderWay {
        self.lock().insert(from);
        UnderWay {
            all: self.clone(),
            from,
        }
    }

    /// True when the connection that came from `client` is one of waxseal's own.
    pub fn is_own(&self, client: SocketAddr) -> bool {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let mut of_any = client;
        of_any.set_ip(if client.is_ipv4() {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        });
        let (exactly, perhaps) = {
            let all = self.lock();
            (all.contains(&client), all.contains(&of_any))
        };
        exactly || (perhaps && is_local(client.ip()))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().remove(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_again_while_it_is_made() {
        let outgoing = Outgoing::default();
        let is_own = |client: &str| outgoing.is_own(client.parse().unwrap());
        let one = outgoing.note("127.0.0.1:1000".parse().unwrap());
        let any = outgoing.note("0.0.0.0:2000".parse().unwrap());
        assert!(is_own("127.0.0.1:1000") && is_own("[::ffff:127.0.0.1]:1000"));
        assert!(!is_own("127.0.0.2:1000") && !is_own("127.0.0.1:1001"));
        // A port of any address is one of this machine's addresses, and not of another machine's.
        assert!(is_own("127.0.0.2:2000") && !is_own("192.0.2.1:2000"));
        drop((one, any));
        assert!(!is_own("127.0.0.1:1000") && !is_own("127.0.0.2:2000"));
    }
}
