//! What is known of the address, and the connection to it while no transaction uses it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::name::{Host, MailHost};
use crate::net::dial::UnderWay;
use crate::net::stream::Wire;
use crate::policy::authorize::Peer;
use crate::policy::failure::{Failure, Fault, Phase};
use crate::proxy::dialogue::Dialogue;
use crate::proxy::upstream::{Greeted, Remembers, Settled};
use crate::smtp::capabilities::{Capabilities, Extension};

/// The address, and the connection to it. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Chosen(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) target: SocketAddr,
    /// The name that the MTA asked for, where it did.
    pub(super) named: Option<Host>,
    /// The MTA's own address.
    pub(super) source: IpAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    line: Option<Line>,
    /// What the MTA calls itself.
    pub(super) name: Option<String>,
}

/// A connection that no transaction uses.
#[derive(Debug)]
pub(super) enum Line {
    /// Connected; the greeting is still to come.
    Dialled(Dialogue, UnderWay),
    /// 220 was said.
    Hailed(Dialogue),
    /// EHLO was answered; TLS is not yet settled.
    Greeted(Greeted),
    /// Has served a transaction.
    Settled(Box<Settled>),
}

impl Line {
    pub(super) fn dialogue(&mut self) -> &mut Dialogue {
        match self {
            Self::Dialled(dialogue, _) | Self::Hailed(dialogue) => dialogue,
            Self::Greeted(greeted) => &mut greeted.dialogue,
            Self::Settled(settled) => &mut settled.dialogue,
        }
    }

    /// After EHLO, which makes the MX forget an envelope (RFC 5321 §4.1.4).
    pub(super) fn offering(self, offers: Capabilities) -> Self {
        match self {
            Self::Settled(mut settled) => {
                settled.offers = offers;
                settled.remembers = Remembers::Nothing;
                Self::Settled(settled)
            }
            Self::Greeted(Greeted { dialogue, .. })
            | Self::Dialled(dialogue, _)
            | Self::Hailed(dialogue) => Self::Greeted(Greeted { dialogue, offers }),
        }
    }

    fn quit(self) {
        match self {
            Self::Dialled(dialogue, _) | Self::Hailed(dialogue) => dialogue.quit(),
            Self::Greeted(greeted) => greeted.dialogue.quit(),
            Self::Settled(settled) => settled.dialogue.quit(),
        }
    }
}

impl Chosen {
    /// An address that an MTA at `source` has chosen, perhaps by this name.
    pub(in crate::proxy) fn new(target: SocketAddr, named: Option<Host>, source: IpAddr) -> Self {
        Self(Arc::new(Inner {
            target,
            named,
            source,
            state: Mutex::default(),
        }))
    }

    /// Takes the connection of a transaction that is over, for the next one.
    pub(in crate::proxy) fn give_back(&self, line: Box<Settled>) {
        self.put(Line::Settled(line));
    }

    /// Ends the connection, if there is one.
    pub(in crate::proxy) fn part(&self) {
        if let Some(line) = self.take() {
            line.quit();
        }
    }

    /// The connection for TLS of the MTA's own, if none has been made yet and the MX offers it.
    pub(in crate::proxy) fn take_for_starttls(&self) -> Option<Dialogue> {
        match self.take_quiet()? {
            Line::Greeted(greeted) if greeted.offers.has(Extension::StartTls) => {
                Some(greeted.dialogue)
            }
            other => {
                self.put(other);
                None
            }
        }
    }

    /// Puts a connection back that no TLS came of.
    pub(in crate::proxy) fn put_back(&self, dialogue: Dialogue) {
        self.put(Line::Hailed(dialogue));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, line: Line) {
        let other = self.state().line.replace(line);
        if let Some(other) = other {
            other.quit();
        }
    }

    pub(super) fn take(&self) -> Option<Line> {
        self.state().line.take()
    }

    /// The connection, unless the MX has closed it or said something that nobody asked for.
    pub(super) fn take_quiet(&self) -> Option<Line> {
        let mut line = self.take()?;
        match line.dialogue().interruption(Phase::Mail) {
            None => Some(line),
            Some(_) => None,
        }
    }

    pub(super) fn peer(&self, host: MailHost) -> Peer {
        Peer {
            host,
            address: self.0.target.ip(),
        }
    }

    /// True when there is a connection that has not yet been used.
    pub(in crate::proxy) fn is_dialled(&self) -> bool {
        matches!(self.state().line, Some(Line::Dialled(..)))
    }

    /// Where the connection was made from.
    pub(in crate::proxy) fn bound(&self) -> Option<SocketAddr> {
        let mut state = self.state();
        let dialogue = state.line.as_mut()?.dialogue();
        dialogue.wire.plain()?.local_addr().ok()
    }

    /// The connection as it is, for octets that nobody looks at.
    pub(in crate::proxy) fn take_wire(&self) -> Option<Wire> {
        match self.take()? {
            Line::Dialled(dialogue, _) | Line::Hailed(dialogue) => Some(dialogue.wire),
            Line::Greeted(greeted) => Some(greeted.dialogue.wire),
            Line::Settled(..) => None,
        }
    }

    pub(super) fn lost(&self, phase: Phase) -> Failure {
        self.stranger().failure(Fault::ConnectionLost(phase))
    }

    /// Who is there, as long as no recipient tells.
    pub(in crate::proxy) fn stranger(&self) -> Peer {
        let named = self.0.named.clone().map(MailHost::Named);
        self.peer(named.unwrap_or(MailHost::Address(self.0.target.ip())))
    }
}
