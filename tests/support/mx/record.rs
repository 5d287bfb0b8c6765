//! What a scripted MX saw.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
};

use rustls::ProtocolVersion;
use tokio::{sync::Notify, time::Instant};

/// A command line, without its line end.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) connection: usize,
    pub(crate) tls: bool,
    pub(crate) line: String,
    pub(crate) at: Instant,
}

/// A TLS handshake that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) connection: usize,
    pub(crate) sni: Option<String>,
    pub(crate) version: ProtocolVersion,
    pub(crate) resumed: bool,
}

/// The command that carried a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Data,
    Bdat,
}

/// A message, or what came of one.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) connection: usize,
    pub(crate) tls: bool,
    pub(crate) helo: String,
    pub(crate) from: String,
    /// What follows the address in MAIL FROM: `SIZE=100 BODY=8BITMIME`.
    pub(crate) from_parameters: String,
    /// Those that the MX accepted.
    pub(crate) recipients: Vec<String>,
    pub(crate) via: Via,
    /// Without dot-stuffing. Empty with [`super::Keep::HashAndLength`].
    pub(crate) data: Vec<u8>,
    /// As it came, without the final dot line. Empty with [`super::Keep::HashAndLength`].
    pub(crate) raw_data: Vec<u8>,
    /// Of `data`.
    pub(crate) length: u64,
    /// Of `data`, hexadecimal.
    pub(crate) sha256: String,
    /// What the MX answered to the end of the data.
    pub(crate) reply: Option<u16>,
}

impl Message {
    /// The data as text, for assertions that people can read.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// Everything that an MX saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Connections accepted so far.
    pub(crate) connections: usize,
    /// Where each of them came from.
    pub(crate) peers: Vec<IpAddr>,
    /// Connections that are over.
    pub(crate) closed: usize,
    pub(crate) commands: Vec<Command>,
    pub(crate) handshakes: Vec<Handshake>,
    pub(crate) failed_handshakes: Vec<String>,
    /// Plaintext that clients sent behind STARTTLS before the handshake: there should be none.
    pub(crate) early_plaintext: Vec<Vec<u8>>,
    /// Messages whose end came.
    pub(crate) messages: Vec<Message>,
    /// Messages whose end did not come (yet, where the MX stalls): nothing of them counts as received.
    pub(crate) partials: Vec<Message>,
    pub(super) asked: HashMap<String, usize>,
}

/// The record, shared by the connections of an MX.
#[derive(Default)]
pub(super) struct Ledger {
    record: Mutex<Record>,
    changed: Notify,
}

impl Ledger {
    pub(super) fn read(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let result = change(&mut self.record.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// Waits until the record is as wished.
    pub(super) async fn until(&self, wish: impl Fn(&Record) -> bool) {
        loop {
            let changed = self.changed.notified();
            if wish(&self.read()) {
                return;
            }
            changed.await;
        }
    }

    /// How often this was asked before.
    pub(super) fn count(&self, verb: &str) -> usize {
        self.write(|record| {
            let count = record.asked.entry(verb.to_owned()).or_default();
            *count += 1;
            *count - 1
        })
    }
}
