//! The hosts that a leg has tried so far, for its outcome.

use crate::policy::authorize::Peer;
use crate::policy::failure::Failure;
use crate::policy::outcome::{AttemptResult, Attempted, Link};
use crate::proxy::transaction::NotBegun;
use crate::proxy::upstream::Ready;

/// What became of each attempt, in order.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<Attempted>);

impl Trail {
    /// The host that is ready for mail may turn out to be another one than was expected.
    pub(super) fn ready(&mut self, ready: &Ready) {
        let peer = ready.line.dialogue.peer.clone();
        self.note(peer, AttemptResult::Ready);
    }

    pub(super) fn failed(&mut self, peer: &Peer, failure: &Failure) {
        self.note(peer.clone(), AttemptResult::Failed(failure.clone()));
    }

    /// A host that was ready and then did not take the envelope.
    pub(super) fn stopped(&mut self, link: &Link, why: NotBegun) -> NotBegun {
        let result = match &why {
            NotBegun::Failed(failure) => AttemptResult::Failed(failure.clone()),
            NotBegun::Refused(reply) | NotBegun::Unbridgeable(reply) => {
                AttemptResult::Refused(reply.clone())
            }
        };
        let peer = Peer {
            host: link.host.clone(),
            address: link.address,
        };
        self.note(peer, result);
        why
    }

    fn note(&mut self, peer: Peer, result: AttemptResult) {
        self.0.push(Attempted { peer, result });
    }

    pub(super) fn into_attempts(self) -> Vec<Attempted> {
        self.0
    }
}
