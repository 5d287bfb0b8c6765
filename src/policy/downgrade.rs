//! What a host has shown before, and whether it now shows less.
//!
//! Where nobody demands TLS, whoever sits between two mail servers need not break it: to take STARTTLS out of
//! a reply is enough. And where a policy demands a proof, it is enough to wait until nobody finds that policy
//! any more. So the best that each host has shown is remembered, and a connection that shows less is a
//! downgrade. It is told; and where the operator wants that, mail waits for a while, so that somebody can look.
//! A loss that lasts for longer is accepted: a host may change its mind.
//!
//! What counts is what mail had, and not what was announced. A host whose handshakes never worked has no TLS to
//! lose, and one that offers STARTTLS and breaks every handshake has lost as much as one that offers none.
//!
//! A proof is one that somebody published: TLSA records, or an MTA-STS policy in mode `enforce`. What a rule
//! demands it goes on demanding. As many domains share a host, and only some of them publish a policy, it is no
//! loss that nobody asks: it is one where the certificate would not even prove the host's name if somebody did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::requirement::Roots;
use crate::time::UnixTime;

/// What a connection to a host showed; the greater is the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shown {
    /// No TLS, or none that works.
    Plaintext,
    /// TLS with whoever answers.
    Tls,
    /// A certificate as an MTA-STS policy asks for it.
    Pkix,
    /// A TLSA record that matches.
    Dane,
}

impl Shown {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Tls, Self::Pkix, Self::Dane];

    /// The word for programs, and in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::Pkix => "pkix",
            Self::Dane => "dane",
        }
    }

    /// What has this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shown| shown.word() == word)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "no TLS",
            Self::Tls => "TLS",
            Self::Pkix => "TLS and a certificate that proves its name",
            Self::Dane => "TLS and a key that its TLSA records prove",
        })
    }
}

/// What is missing; the greater is the worse. The `kind` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The host was proven, and nothing proves it now.
    Authentication,
    /// TLS worked, and does not any more.
    Starttls,
}

impl Kind {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 2] = [Self::Authentication, Self::Starttls];

    /// The metric label, and the word in the store.
    pub fn label(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Starttls => "starttls",
        }
    }

    /// What has this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == word)
    }

    /// What a connection shows that lacks this.
    pub fn leaves(self) -> Shown {
        match self {
            Self::Authentication => Shown::Tls,
            Self::Starttls => Shown::Plaintext,
        }
    }
}

/// What is known of a host that has shown TLS at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The best that counts.
    pub best: Shown,
    /// Since when it shows less.
    pub lost: Option<Lost>,
}

/// A loss that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The worst of what is missing.
    pub kind: Kind,
    /// The first connection that lacked it.
    pub since: UnixTime,
}

/// What follows a downgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// It is told, and mail leaves as its policy says.
    Warn,
    /// Mail waits until the loss has lasted for [`Guard::hold`].
    Defer,
}

/// How downgrades are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// What follows.
    pub response: Response,
    /// A loss that has lasted for so long is accepted.
    pub hold: Duration,
}

impl Guard {
    /// When a loss that began at `since` is accepted.
    pub fn ends(self, since: UnixTime) -> UnixTime {
        UnixTime(since.0.saturating_add(self.hold.as_secs()))
    }
}

/// What a connection is held against, beside what its policy asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// What the host has shown.
    pub known: Known,
    /// How much of that is to be seen again.
    pub extent: Extent,
    /// What follows where it is not.
    pub guard: Guard,
}

/// How much of what a host has shown is to be seen again.
#[derive(Debug, Clone, PartialEq)]
pub enum Extent {
    /// TLS. The rule asks for no proof, or the proof was DANE, and there is no DNSSEC here to see it by.
    Tls,
    /// A proof as well: the certificate is held against these.
    Proof(Arc<Roots>),
}

/// How a connection compares with what the host has shown before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nothing is lost.
    Kept,
    /// TLS is there, and a proof was not looked for.
    InPart,
    /// This is missing.
    Lost(Kind),
}

/// A downgrade that keeps mail waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downgrade {
    /// What is missing.
    pub kind: Kind,
    /// What was there.
    pub best: Shown,
    /// Until when mail waits.
    pub until: UnixTime,
}

impl Watch {
    /// Compares. `names_itself` tells whether the certificate proves the host's name.
    pub fn sight(&self, shown: Shown, names_itself: impl FnOnce(&Roots) -> bool) -> Sight {
        if shown >= self.known.best {
            return Sight::Kept;
        }
        match (shown, &self.extent) {
            (Shown::Plaintext, _) => Sight::Lost(Kind::Starttls),
            (Shown::Pkix | Shown::Dane, _) => Sight::Kept,
            (Shown::Tls, Extent::Tls) => Sight::InPart,
            (Shown::Tls, Extent::Proof(roots)) if names_itself(roots) => Sight::Kept,
            (Shown::Tls, Extent::Proof(_)) => Sight::Lost(Kind::Authentication),
        }
    }

    /// The downgrade, if mail has to wait for it.
    pub fn defers(&self, kind: Kind, now: UnixTime) -> Option<Downgrade> {
        let until = self.guard.ends(self.known.lost_since(kind, now));
        let waits = self.guard.response == Response::Defer && now < until;
        waits.then_some(Downgrade {
            kind,
            best: self.known.best,
            until,
        })
    }
}

/// What a connection changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This is missing since just now.
    Lost(Kind),
    /// What was missing is there again.
    Regained,
    /// What is missing has been missing for so long that it does not count any more.
    Accepted,
}

impl Known {
    /// What is known after the first connection; nothing of a host that has nothing to lose.
    pub fn first(shown: Shown) -> Option<Self> {
        (shown > Shown::Plaintext).then_some(Self {
            best: shown,
            lost: None,
        })
    }

    /// What is known after another connection, and what that changed.
    #[must_use]
    pub fn after(
        self,
        shown: Shown,
        sight: Sight,
        now: UnixTime,
        guard: Guard,
    ) -> (Self, Option<Turn>) {
        match sight {
            Sight::InPart => (self, None),
            Sight::Kept => {
                let best = self.best.max(shown);
                (Self { best, lost: None }, self.lost.map(|_| Turn::Regained))
            }
            Sight::Lost(kind) => self.without(kind, now, guard),
        }
    }

    fn without(self, kind: Kind, now: UnixTime, guard: Guard) -> (Self, Option<Turn>) {
        match self.lost {
            Some(lost) if lost.kind >= kind && now < guard.ends(lost.since) => (self, None),
            Some(lost) if lost.kind >= kind => {
                let accepted = Self {
                    best: kind.leaves(),
                    lost: None,
                };
                (accepted, Some(Turn::Accepted))
            }
            _ => {
                let lost = Some(Lost { kind, since: now });
                (Self { lost, ..self }, Some(Turn::Lost(kind)))
            }
        }
    }

    /// Since when this is missing. Who lacks less than before still lacks something; who lacks more has only just
    /// begun to.
    fn lost_since(&self, kind: Kind, now: UnixTime) -> UnixTime {
        let lost = self.lost.filter(|lost| lost.kind >= kind);
        lost.map_or(now, |lost| lost.since)
    }
}

#[cfg(test)]
mod tests;
