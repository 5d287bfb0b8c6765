//! What a connection showed is noted for the next one (`policy::downgrade`).

use crate::name::MailHost;
use crate::policy::authorize::Authorized;
use crate::policy::downgrade::{Shown, Sight};
use crate::policy::failure::{Failure, Fault};
use crate::policy::outcome::Event;
use crate::policy::requirement::{Demand, Requirement};
use crate::proxy::gate::Gate;

impl Gate {
    /// Takes note of a connection to `host` that was judged by `requirement`.
    pub(super) async fn note(
        &self,
        host: &MailHost,
        requirement: &Requirement,
        judged: Result<&Authorized, &Failure>,
    ) {
        let (Some(hosts), Some(host)) = (self.discover.hosts(), host.name()) else {
            return;
        };
        let Some(seen) = seen(requirement, judged) else {
            return;
        };
        let noted = hosts.note(host, seen, self.settings.guard).await;
        if let Some((turn, known)) = noted {
            let known = &known;
            self.observer.record(Event::Downgrade { host, turn, known });
        }
    }
}

/// What there is to note: nothing where TLS was not even tried, or where the policy was not met.
fn seen(
    requirement: &Requirement,
    judged: Result<&Authorized, &Failure>,
) -> Option<(Shown, Sight)> {
    match judged {
        _ if requirement.demand == Demand::Plaintext => None,
        Ok(authorized) => Some((authorized.shown(), authorized.sight())),
        Err(Failure::Attempt {
            fault: Fault::Downgraded(downgrade),
            ..
        }) => Some((downgrade.kind.leaves(), Sight::Lost(downgrade.kind))),
        Err(_) => None,
    }
}
