//! TLS sessions that go on from an earlier one, and when that is no answer.
//!
//! The chain of such a session is that of the earlier handshake. Where it proves what is asked for, it is as good as
//! seen today: it is held against today's records and today's date. Where it does not, or where the connection
//! breaks over it, that says nothing against the MX: its certificate may have been renewed since, or its key for
//! tickets. Then the session is forgotten, and a full handshake on a fresh connection tells; the one before is
//! neither an attempt nor a sight of the host, and never a reason for plaintext.

use crate::policy::authorize::Authorized;
use crate::policy::failure::{Failure, Fault, Phase};
use crate::policy::handshake::Resumption;
use crate::policy::requirement::Requirement;
use crate::proxy::gate::Gate;
use crate::proxy::upstream::{Greeted, Settled, Starttls};

impl Gate {
    /// Seals. None where that failed and an earlier session may have been the reason.
    pub(super) async fn try_to_seal(
        &self,
        greeted: Greeted,
        requirement: &Requirement,
        starttls: Starttls,
        name: &str,
    ) -> Result<Option<Box<Settled>>, Failure> {
        let server = greeted.dialogue.server(requirement.server_name.as_ref());
        let earlier = starttls == Starttls::IfOffered && self.tls.knows(&server);
        match self.seal(greeted, requirement, starttls, name).await {
            // In TLS 1.3 the client is ready before the server has agreed to everything.
            Err(Failure::Attempt {
                fault: Fault::Handshake(_) | Fault::ConnectionLost(Phase::Ehlo),
                ..
            }) if earlier => Ok(None),
            sealed => sealed.map(Some),
        }
    }

    /// Forgets the sessions of a host that leaves a doubt, so that none goes on; tells whether `line` went on from one.
    pub(super) fn forget_in_doubt(&self, line: &Settled, authorized: Option<&Authorized>) -> bool {
        let Ok(handshake) = &line.handshake else {
            return false;
        };
        if authorized.is_some_and(Authorized::is_beyond_doubt) {
            return false;
        }
        self.tls
            .forget(&line.dialogue.server(line.server_name.as_ref()));
        handshake.resumption == Resumption::Resumed
    }
}
