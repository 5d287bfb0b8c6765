//! Which address is dialled next, and what is remembered of those that did not do.
//!
//! MX hosts in order of preference, equals in random order (RFC 5321 §5.1), those first to which a connection
//! waits in the pool; of each host the addresses of both families in turn, the preferred family first. The order
//! never looks at how safe a host is: a host that fails its requirement is passed over, not ranked down.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt;
use rand::Rng;
use rand::seq::SliceRandom;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout};

use crate::policy::authorize::{Peer, authorize};
use crate::policy::failure::{Failure, Fault, Phase, Unreached};
use crate::policy::outcome::{Event, Link};
use crate::policy::requirement::Requirement;
use crate::policy::verdict::{Candidate, Plan, Policy};
use crate::proxy::admission::{Company, Room};
use crate::proxy::caps::{Admitted, Place};
use crate::proxy::gate::Gate;
use crate::proxy::settings::{AfterFailedHandshake, MxSettings};
use crate::proxy::trail::Trail;
use crate::proxy::transaction::{Begun, Envelope, NotBegun};
use crate::proxy::upstream::{Ready, Settled, Starttls};
use crate::smtp::reply::Reply;

/// One address to dial, and what it must prove.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt<'p> {
    pub(super) preference: u16,
    pub(super) peer: Peer,
    pub(super) port: u16,
    pub(super) requirement: &'p Arc<Requirement>,
}

impl Attempt<'_> {
    pub(super) fn target(&self) -> SocketAddr {
        (self.peer.address, self.port).into()
    }
}

/// Until when a message is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'a> {
    /// An MX must have taken its envelope.
    pub(super) ready: Instant,
    /// Where the operator has set limits, there must be room. After that the next MX is tried.
    pub(super) room: Room<'a>,
}

impl<'a> Patience<'a> {
    /// Three quarters of the time are left for the hosts themselves.
    pub(super) fn new(ready: Instant, company: Option<&'a Company>) -> Self {
        let now = Instant::now();
        let deadline = now + ready.saturating_duration_since(now) / 4;
        let room = Room { deadline, company };
        Self { ready, room }
    }
}

/// Why no MX took the envelope.
#[derive(Debug)]
pub(super) enum Stop {
    /// waxseal's own reason.
    Failure(Failure),
    /// What one host failed by, and whose word that was.
    Host(Policy, Failure),
    /// The MX replied to MAIL, or the envelope cannot be said to it.
    Replied(Arc<Link>, Reply),
}

/// What follows an attempt that failed.
enum Tried {
    /// The next address is tried.
    NextHost(Stop),
    /// The MX has spoken for its domain.
    Settled(Stop),
}

/// The most telling of several failed attempts; of equals the later one.
#[derive(Debug, Default)]
struct Worst(Option<Stop>);

/// How much a failure tells: a policy that was not met more than a limit, and that more than the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gravity {
    Network,
    Limit,
    Policy,
}

impl Worst {
    fn note(&mut self, stop: Stop) {
        let gravity = self.0.as_ref().map(Gravity::of);
        if gravity.is_none_or(|gravity| gravity <= Gravity::of(&stop)) {
            self.0 = Some(stop);
        }
    }
}

impl Gravity {
    fn of(stop: &Stop) -> Self {
        match stop {
            Stop::Host(_, failure) if failure.is_about_policy() => Self::Policy,
            Stop::Host(
                _,
                Failure::Attempt {
                    fault: Fault::Capped(_),
                    ..
                },
            ) => Self::Limit,
            _ => Self::Network,
        }
    }
}

/// The attempts of a plan in the order in which they are made, and the failures of the hosts that are not
/// dialled at all.
pub(super) fn itinerary<'p>(
    plan: &'p Plan,
    limits: &MxSettings,
    rng: &mut impl Rng,
    is_warm: impl Fn(SocketAddr) -> bool,
) -> (Vec<Attempt<'p>>, Vec<(Policy, Failure)>) {
    let mut candidates: SmallVec<[&Candidate; 4]> = plan.candidates.iter().collect();
    candidates.shuffle(rng);
    let is_warm = |address: &IpAddr| is_warm((*address, plan.port).into());
    candidates.sort_by_cached_key(|candidate| {
        let warm = addresses(candidate).iter().any(is_warm);
        (candidate.preference, !warm)
    });
    candidates.truncate(limits.max_hosts);
    let mut attempts = Vec::new();
    let mut failures = Vec::new();
    for candidate in candidates {
        match &candidate.way {
            Err(failure) => failures.push((candidate.policy, failure.clone())),
            Ok(way) => {
                let mut order = in_turn(&way.addresses);
                order.sort_by_cached_key(|address| !is_warm(address));
                attempts.extend(order.into_iter().map(|address| Attempt {
                    preference: candidate.preference,
                    peer: Peer {
                        host: candidate.host.clone(),
                        address,
                    },
                    port: plan.port,
                    requirement: &way.requirement,
                }));
            }
        }
    }
    attempts.truncate(limits.max_addresses);
    (attempts, failures)
}

fn addresses(candidate: &Candidate) -> &[IpAddr] {
    match &candidate.way {
        Ok(way) => &way.addresses,
        Err(_) => &[],
    }
}

/// The two families in turn, the family of the first address first.
fn in_turn(addresses: &[IpAddr]) -> SmallVec<[IpAddr; 4]> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (first, second): (SmallVec<[IpAddr; 4]>, SmallVec<[IpAddr; 4]>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut order = SmallVec::with_capacity(addresses.len());
    for address in first {
        order.push(address);
        order.extend(second.next());
    }
    order.extend(second);
    order
}

impl Gate {
    /// Finds the MX that proves what the plan asks for and takes the envelope, in time.
    ///
    /// While others are left to try, an attempt gets half of the time that is left: a host that accepts
    /// connections and then says nothing must not keep the next one from its turn.
    pub(super) async fn introduce(
        &self,
        plan: &Plan,
        envelope: &Envelope<'_>,
        until: Patience<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Stop> {
        let (mut rest, failures) = itinerary(plan, &self.settings.mx, &mut rand::rng(), |target| {
            self.pool.knows(target)
        });
        let mut worst = Worst::default();
        for (policy, failure) in failures {
            worst.note(Stop::Host(policy, failure));
        }
        while !rest.is_empty() {
            match self.try_next(&mut rest, envelope, until, trail).await {
                Ok(begun) => return Ok(begun),
                Err(Tried::Settled(stop)) => return Err(stop),
                Err(Tried::NextHost(stop)) => worst.note(stop),
            }
        }
        let to = envelope.destination;
        Err(worst
            .0
            .unwrap_or_else(|| Stop::Failure(Failure::NoUsableMx(to.clone()))))
    }

    /// Takes the first one of `rest`, or one that does as well, and tries it in its share of the time.
    async fn try_next(
        &self,
        rest: &mut Vec<Attempt<'_>>,
        envelope: &Envelope<'_>,
        until: Patience<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Tried> {
        let (attempt, admitted) = match self.admit(rest, until.room).await {
            Ok((at, admitted)) => (rest.remove(at), admitted),
            Err(failure) => {
                let attempt = rest.remove(0);
                // What is behind the same door need not be asked for room again.
                rest.retain(|other| !self.caps.are_together(&attempt.peer, &other.peer));
                return Err(self.in_vain(&attempt, failure, trail));
            }
        };
        let left = until.ready.saturating_duration_since(Instant::now());
        let share = if rest.is_empty() { left } else { left / 2 };
        let begun = self.try_to_begin(&attempt, admitted, envelope, until.room, trail);
        let begun = timeout(share, begun).await;
        begun.unwrap_or_else(|_| Err(self.too_slow(&attempt, trail)))
    }

    /// Gives up on a host that did not get ready within its share of the time.
    fn too_slow(&self, attempt: &Attempt<'_>, trail: &mut Trail) -> Tried {
        self.dead.note(attempt.target());
        let failure = attempt.peer.failure(Fault::TimedOut(Phase::Opening));
        self.in_vain(attempt, failure, trail)
    }

    /// Records an attempt that came to nothing.
    fn in_vain(&self, attempt: &Attempt<'_>, failure: Failure, trail: &mut Trail) -> Tried {
        let peer = &attempt.peer;
        self.observer.record(Event::Attempt(peer, Some(&failure)));
        trail.failed(peer, &failure);
        Tried::NextHost(Stop::Host(attempt.requirement.policy, failure))
    }

    async fn try_to_begin(
        &self,
        attempt: &Attempt<'_>,
        admitted: Admitted<Ready>,
        envelope: &Envelope<'_>,
        room: Room<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Tried> {
        let place = match admitted {
            Admitted::Afresh(place) => place,
            Admitted::Again(ready) => {
                trail.ready(&ready);
                match self.begin(ready, attempt, envelope, trail).await {
                    // It has gone stale: nothing was lost, and the MTA need not know.
                    Err(Tried::NextHost(Stop::Host(..))) => {}
                    Err(Tried::NextHost(Stop::Replied(_, reply))) if reply.code() == 421 => {}
                    begun => return begun,
                }
                let place = self.place(&attempt.peer, attempt.port, room).boxed();
                let place = place.await;
                place.map_err(|failure| self.in_vain(attempt, failure, trail))?
            }
        };
        // In a box, like all that is not done for every message: a session that waits has no room for it.
        let ready = self.attempt(attempt, place, trail).boxed();
        let ready = ready
            .await
            .map_err(|failure| Tried::NextHost(Stop::Host(attempt.requirement.policy, failure)))?;
        self.begin(ready, attempt, envelope, trail).await
    }

    /// A connection that has carried a message before and proves what this one asks for.
    pub(super) fn rested(&self, attempt: &Attempt<'_>) -> Option<Ready> {
        let Attempt {
            peer, requirement, ..
        } = attempt;
        let judge = |line: &Settled| {
            let authorized = authorize(requirement, line.channel(), peer, self.clock.now()).ok()?;
            // What a rule only observes is better seen on a fresh handshake.
            authorized.would_block().is_none().then_some(authorized)
        };
        let target = attempt.target();
        let (line, authorized) = self.pool.take(target, requirement, &self.settings, judge)?;
        Some(line.ready(peer, authorized, requirement))
    }

    async fn begin(
        &self,
        ready: Ready,
        attempt: &Attempt<'_>,
        envelope: &Envelope<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Tried> {
        let begun = ready.begin(&self.settings.timeouts, envelope).await;
        begun.map_err(|(link, why)| match trail.stopped(&link, why) {
            NotBegun::Failed(failure) => {
                Tried::NextHost(Stop::Host(attempt.requirement.policy, failure))
            }
            // Another MX may know the extension that this one lacks.
            NotBegun::Unbridgeable(reply) => Tried::NextHost(Stop::Replied(link, reply)),
            NotBegun::Refused(reply) => {
                if reply.code() == 421 {
                    self.pool.forget(attempt.target());
                }
                let stop = Stop::Replied(link, reply.clone());
                // A 4xx before any recipient was answered: the next MX may be in a better mood.
                if reply.is_transient() {
                    Tried::NextHost(stop)
                } else {
                    Tried::Settled(stop)
                }
            }
        })
    }

    /// Makes one attempt, and a second one in plaintext where the requirement allows that.
    async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        place: Option<Place>,
        trail: &mut Trail,
    ) -> Result<Ready, Failure> {
        let Attempt {
            peer, requirement, ..
        } = attempt;
        if self.dead.knows(attempt.target()) {
            let fault = Fault::Unreachable(Unreached::Lately);
            let failure = peer.failure(fault);
            trail.failed(peer, &failure);
            return Err(failure);
        }
        let first = self.open(attempt, Starttls::IfOffered, place.clone()).await;
        let first = self.tried(peer, first, trail);
        // The second try is a fresh connection: what a failed handshake leaves behind is not SMTP.
        match first {
            Err(Failure::Attempt {
                fault: Fault::Handshake(_),
                ..
            }) if self.falls_back(requirement) => {
                let second = self.open(attempt, Starttls::NotAfterFailure, place).await;
                self.tried(peer, second, trail)
            }
            other => other,
        }
    }

    /// Whether a failed handshake is followed by plaintext.
    pub(super) fn falls_back(&self, requirement: &Requirement) -> bool {
        requirement.allows_plaintext()
            && self.settings.after_failed_handshake == AfterFailedHandshake::Plaintext
    }

    /// Records an attempt.
    pub(super) fn tried(
        &self,
        peer: &Peer,
        result: Result<Ready, Failure>,
        trail: &mut Trail,
    ) -> Result<Ready, Failure> {
        self.observer
            .record(Event::Attempt(peer, result.as_ref().err()));
        match &result {
            Ok(ready) => trail.ready(ready),
            Err(failure) => trail.failed(peer, failure),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::name::MailHost;
    use crate::policy::verdict::Way;
    use crate::proxy::settings::SmallMessages;
    use std::time::Duration;

    const WARM: &str = "7.7.7.7:25";

    fn candidate(host: &str, preference: u16, addresses: &[&str]) -> Candidate {
        let requirement = Requirement::opportunistic();
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        Candidate {
            host: MailHost::Named(host.parse().unwrap()),
            preference,
            policy: Policy::Opportunistic,
            way: Ok(Way {
                addresses,
                requirement: Arc::new(requirement),
            }),
        }
    }

    fn hosts(candidates: Vec<Candidate>, limits: &MxSettings, seed: u64) -> Vec<String> {
        let plan = Plan {
            candidates,
            port: 25,
        };
        let (attempts, _) = itinerary(
            &plan,
            limits,
            &mut SmallRng::seed_from_u64(seed),
            |target| target.to_string() == WARM,
        );
        attempts
            .iter()
            .map(|a| format!("{} {}", a.peer.host, a.peer.address))
            .collect()
    }

    fn limits(max_hosts: usize, max_addresses: usize) -> MxSettings {
        MxSettings {
            port: 25,
            max_hosts,
            max_addresses,
            dead_for: Duration::ZERO,
            dead_entries: 0,
            small_messages: SmallMessages::WithData,
        }
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_is_first() {
        let mx = candidate("a", 0, &["::1", "::2", "::3", "1.1.1.1"]);
        assert_eq!(
            hosts(vec![mx], &limits(9, 9), 0),
            ["a ::1", "a 1.1.1.1", "a ::2", "a ::3"]
        );
    }

    #[test]
    fn preference_is_kept_and_equals_come_in_every_order() {
        let plan = || {
            vec![
                candidate("late", 20, &["9.9.9.9"]),
                candidate("a", 10, &["1.1.1.1"]),
                candidate("b", 10, &["2.2.2.2"]),
            ]
        };
        let orders: std::collections::HashSet<String> = (0..50)
            .map(|seed| {
                let order = hosts(plan(), &limits(9, 9), seed);
                assert_eq!(order[2], "late 9.9.9.9");
                order[0].clone()
            })
            .collect();
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn among_equals_an_address_that_has_a_connection_comes_first() {
        let plan = || {
            vec![
                candidate("a", 10, &["1.1.1.1"]),
                candidate("b", 10, &["2.2.2.2", "7.7.7.7"]),
                candidate("first", 5, &["9.9.9.9"]),
            ]
        };
        for seed in 0..20 {
            assert_eq!(
                hosts(plan(), &limits(9, 9), seed),
                ["first 9.9.9.9", "b 7.7.7.7", "b 2.2.2.2", "a 1.1.1.1"]
            );
        }
    }

    #[test]
    fn hosts_and_addresses_are_limited() {
        let plan = || {
            vec![
                candidate("a", 1, &["1.1.1.1", "1.1.1.2"]),
                candidate("b", 2, &["2.2.2.2"]),
            ]
        };
        assert_eq!(hosts(plan(), &limits(1, 9), 0).len(), 2);
        assert_eq!(hosts(plan(), &limits(9, 1), 0), ["a 1.1.1.1"]);
    }
}
