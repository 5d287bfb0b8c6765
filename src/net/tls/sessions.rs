//! TLS sessions that a later connection may go on with: a handshake without certificate and signature.
//!
//! A session belongs to the machine that it was made with, and to the name it was asked for: it is known by the
//! address and port that were dialled and by the name in SNI, and by nothing less. All of a server are forgotten
//! together a while after the first of them, however often the server has given out new ones meanwhile: the chain
//! of a session is the one that the full handshake showed, so that this is also how old that may be. They are few
//! for each server, bounded in all, and never written down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;

use super::Start;
use crate::name::Host;

/// Servers whose sessions are kept, at most. Whoever is hostile can make each session as large as two messages of
/// a handshake, 128 KiB: so it is the busiest that are kept, and not many.
const SERVERS: u64 = 100;

/// Sessions of one server, at most: what the library keeps for one name.
const SESSIONS: usize = 8;

/// Where a session belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// What was dialled.
    pub address: SocketAddr,
    /// The name in SNI; without one there is no SNI.
    pub name: Option<Host>,
}

/// A shelf for each server, and the connector that takes sessions from it and puts new ones there.
#[derive(Clone)]
pub(super) struct Sessions(Cache<Server, TlsConnector>);

impl Sessions {
    /// Keeps sessions for so long.
    pub(super) fn new(how_long: Duration) -> Self {
        // RFC 8446 §4.6.1: new tickets must not prolong for ever what one signature has proven.
        let cache = Cache::builder().time_to_live(how_long);
        Self(cache.max_capacity(SERVERS).build())
    }

    /// The connector for `server`. A full handshake begins a new shelf, and what still comes of connections that
    /// began before goes to the old one, where nobody looks.
    pub(super) fn connector(
        &self,
        server: &Server,
        start: Start,
        config: &ClientConfig,
    ) -> TlsConnector {
        let new = || {
            let mut config = config.clone();
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
            TlsConnector::from(Arc::new(config))
        };
        match start {
            Start::Earlier => self.0.get_with_by_ref(server, new),
            Start::Full => {
                let connector = new();
                self.0.insert(server.clone(), connector.clone());
                connector
            }
        }
    }

    pub(super) fn know(&self, server: &Server) -> bool {
        self.0.contains_key(server)
    }

    pub(super) fn forget(&self, server: &Server) {
        self.0.invalidate(server);
    }
}

#[cfg(test)]
mod tests;
