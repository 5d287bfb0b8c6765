//! The part of a transaction that is for one recipient domain.
//!
//! A leg decides, finds an MX, and carries recipients and content to it. Whatever goes wrong ends the
//! leg: from then on every question gets the same answer, the reply that tells why. It ends in exactly
//! one `Outcome`, also when it is dropped half-way because the MTA went away.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use smallvec::{SmallVec, smallvec};
use tokio::time::{Instant, timeout_at};

use crate::name::Destination;
use crate::policy::decide::Decision;
use crate::policy::delivery_id::DeliveryId;
use crate::policy::failure::Failure;
use crate::policy::outcome::{End, Event, Ingress, Link, Outcome};
use crate::policy::verdict::{Policy, Verdict};
use crate::proxy::admission::Company;
use crate::proxy::chosen::Chosen;
use crate::proxy::gate::SessionGate;
use crate::proxy::opener::{Patience, Stop};
use crate::proxy::settings::SealReply;
use crate::proxy::trail::Trail;
use crate::proxy::transaction::{Begun, Envelope, Follows, Replies, Transaction};
use crate::smtp::command::{Chunk, Last, Mail, Recipient};
use crate::smtp::reply::Reply;

/// What `ask` of each leg comes to, all of them at the same time. Most messages have a single leg, which needs no list
/// of futures.
pub(super) async fn of_each<'a, A: Future>(
    legs: &'a mut [Leg],
    ask: impl Fn(&'a mut Leg) -> A,
) -> SmallVec<[A::Output; 1]> {
    match legs {
        [leg] => smallvec![ask(leg).await],
        legs => join_all(legs.iter_mut().map(ask)).await.into(),
    }
}

/// One leg.
pub(super) struct Leg {
    id: DeliveryId,
    gate: SessionGate,
    ingress: Ingress,
    /// Where the MX is the MTA's choice; none where it is waxseal's.
    chosen: Option<Chosen>,
    destination: Destination,
    sender: Option<Destination>,
    started: Instant,
    /// The other legs of the message, if there are any.
    company: Option<Company>,
    state: State,
    policy: Policy,
    decision: Option<Arc<Decision>>,
    trail: Trail,
    link: Option<Arc<Link>>,
    recipients: usize,
    /// The MX's word on the last recipient that it refused.
    refusal: Option<Reply>,
    octets: u64,
}

enum State {
    /// No recipient yet.
    New,
    /// An MX has the envelope.
    Open(Box<Transaction>),
    /// Decided; every further question gets this reply.
    Over(Reply, End),
    /// The outcome is recorded.
    Recorded,
}

impl Leg {
    /// A leg to `destination`.
    pub(super) fn new(
        gate: SessionGate,
        ingress: Ingress,
        chosen: Option<Chosen>,
        destination: Destination,
        mail: &Mail,
    ) -> Self {
        Self {
            id: DeliveryId::new(gate.clock.now(), rand::random()),
            gate,
            ingress,
            chosen,
            destination,
            sender: mail.path.domain().cloned(),
            started: Instant::now(),
            company: None,
            state: State::New,
            policy: Policy::Opportunistic,
            decision: None,
            trail: Trail::default(),
            link: None,
            recipients: 0,
            refusal: None,
            octets: 0,
        }
    }

    /// Whose leg this is.
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Tells it that it is not the only one of its message.
    pub(super) fn joins(&mut self, company: &Company) {
        if let State::Open(transaction) = &self.state
            && transaction.has_place()
        {
            company.has_place();
        }
        self.company = Some(company.clone());
    }

    /// Recipients that the MX has accepted.
    pub(super) fn accepted(&self) -> usize {
        self.recipients
    }

    /// Offers recipients to the MX; one reply for each, in order.
    pub(super) async fn offer(
        &mut self,
        mail: &Mail,
        recipients: &[&Recipient],
        follows: Follows,
    ) -> Replies {
        let replies = match &mut self.state {
            State::New => self.open(mail, recipients, follows).await,
            State::Open(transaction) => transaction
                .recipients(recipients, follows)
                .await
                .map_err(Stop::Failure),
            State::Over(reply, _) => Ok(smallvec![reply.clone(); recipients.len()]),
            State::Recorded => Ok(Replies::new()),
        };
        match replies {
            Ok(replies) => {
                if let State::Open(_) = self.state {
                    self.recipients += replies.iter().filter(|reply| reply.is_positive()).count();
                    self.refusal = replies.iter().rfind(|reply| !reply.is_positive()).cloned();
                }
                replies.into_iter().map(Reply::relayed).collect()
            }
            Err(stop) => smallvec![self.stop(stop); recipients.len()],
        }
    }

    /// Decides and introduces the message to an MX, all within the time that the MTA can be made to wait.
    async fn open(
        &mut self,
        mail: &Mail,
        recipients: &[&Recipient],
        follows: Follows,
    ) -> Result<Replies, Stop> {
        let gate = Arc::clone(&self.gate);
        let deadline = Instant::now() + gate.settings.timeouts.ready;
        let destination = self.destination.clone();
        let envelope = Envelope {
            destination: &destination,
            mail,
            recipients,
            follows,
        };
        let opening = async {
            let decision = self.decide().await;
            match self.introduce(&decision, &envelope, deadline).await {
                // RFC 8461 §5.1: before a policy keeps mail back, is there a newer one?
                Err(Stop::Host(Policy::MtaSts, _))
                    if gate.policy_has_changed(&decision.facts.next_hop).await =>
                {
                    let decision = self.decide().await;
                    self.introduce(&decision, &envelope, deadline).await
                }
                introduced => introduced,
            }
        };
        let Ok(opened) = timeout_at(deadline, opening).await else {
            return Err(Stop::Failure(Failure::NotReadyInTime(
                self.destination.clone(),
            )));
        };
        let Begun {
            transaction,
            replies,
        } = opened?;
        self.linked(Arc::clone(transaction.link()));
        self.state = State::Open(transaction);
        Ok(replies)
    }

    /// Introduces the message to the MX that the MTA has chosen, or to one that waxseal chooses.
    async fn introduce(
        &mut self,
        decision: &Decision,
        envelope: &Envelope<'_>,
        deadline: Instant,
    ) -> Result<Begun, Stop> {
        let plan = match &decision.verdict {
            Verdict::Deliver(plan) => plan,
            Verdict::Stop { failure, policy } => {
                self.policy = *policy;
                return Err(Stop::Failure(failure.clone()));
            }
        };
        let (gate, trail) = (&self.gate, &mut self.trail);
        let until = Patience::new(deadline, self.company.as_ref());
        match &self.chosen {
            Some(chosen) => {
                let facts = &decision.facts;
                let presented = gate.present(chosen, plan, facts, envelope, trail);
                presented.boxed().await
            }
            None => gate.introduce(plan, envelope, until, trail).await,
        }
    }

    /// What is to be done, and what it rests on.
    async fn decide(&mut self) -> Arc<Decision> {
        let sender = self.sender.as_ref().and_then(Destination::domain);
        let decision = self.gate.decide(&self.destination, sender).await;
        // The operator's route is not the MTA's to choose.
        let rule = decision.rule.as_ref();
        if rule.is_some_and(|rule| rule.route.is_some()) {
            self.chosen = None;
        }
        self.decision = Some(Arc::clone(&decision));
        decision
    }

    /// Makes the MX ready for DATA, or holds the content back for now.
    pub(super) async fn begin_data(&mut self) -> Result<(), Reply> {
        let State::Open(transaction) = &mut self.state else {
            return Err(self.answer());
        };
        let begun = transaction.begin_data(self.gate.settings.mx.small_messages);
        let begun = begun.await;
        self.settle(begun)
    }

    /// Whether the content is held back.
    pub(super) fn holds(&self) -> bool {
        matches!(&self.state, State::Open(transaction) if transaction.holds())
    }

    /// Sends with DATA what was held back of a message that goes on.
    pub(super) async fn release(&mut self, held: &[u8]) {
        let State::Open(transaction) = &mut self.state else {
            return;
        };
        let begun = transaction.ask_for_data().await;
        // A refusal waits for the end of the content, when the MTA listens again.
        if self.settle(begun).is_ok() {
            self.content(held).await;
        }
    }

    /// Sends a message that was held back as a whole, in one chunk.
    pub(super) async fn one_chunk(&mut self, chunk: &[u8]) {
        let State::Open(transaction) = &mut self.state else {
            return;
        };
        let sent = transaction.one_chunk(chunk).await;
        self.sent(chunk.len(), sent).await;
    }

    /// Announces a chunk of BDAT.
    pub(super) async fn begin_chunk(&mut self, chunk: Chunk) -> Result<(), Reply> {
        let State::Open(transaction) = &mut self.state else {
            return Err(self.answer());
        };
        let begun = transaction.begin_chunk(chunk).await;
        self.settle(begun)
    }

    /// Passes a piece of content on, unless it is held back. A leg that fails keeps quiet until it is asked for its reply.
    pub(super) async fn content(&mut self, piece: &[u8]) {
        let State::Open(transaction) = &mut self.state else {
            return;
        };
        if transaction.holds() {
            return;
        }
        let sent = transaction.content(piece).await;
        self.sent(piece.len(), sent).await;
    }

    async fn sent(&mut self, octets: usize, sent: Result<(), Failure>) {
        match (sent, &mut self.state) {
            (Ok(()), _) => self.octets += octets as u64,
            (Err(failure), State::Open(transaction)) => {
                let stop = match transaction.last_words().await {
                    Some(reply) => Stop::Replied(Arc::clone(transaction.link()), reply),
                    None => Stop::Failure(failure),
                };
                self.stop(stop);
            }
            (Err(_), _) => {}
        }
    }

    /// Ends a chunk of BDAT; the reply to it, where there is something to say before the last one.
    pub(super) async fn end_chunk(&mut self, last: Last) -> Option<Reply> {
        let State::Open(transaction) = &mut self.state else {
            return Some(self.answer());
        };
        match (transaction.end_chunk(last).await, last) {
            (Ok(Some(reply)), Last::Yes) => Some(self.conclude(reply)),
            (Ok(Some(reply)), Last::No) if !reply.is_positive() => {
                let link = Arc::clone(transaction.link());
                Some(self.stop(Stop::Replied(link, reply)))
            }
            (Ok(reply), _) => reply,
            (Err(failure), _) => Some(self.stop(Stop::Failure(failure))),
        }
    }

    /// Waits for the MX's word on the message.
    pub(super) async fn end_of_data(&mut self) -> Reply {
        let State::Open(transaction) = &mut self.state else {
            return self.answer();
        };
        match transaction.end_of_data().await {
            Ok(reply) => self.conclude(reply),
            Err(failure) => self.stop(Stop::Failure(failure)),
        }
    }

    /// Takes the MX's word on the message and makes the MTA's reply out of it.
    fn conclude(&mut self, reply: Reply) -> Reply {
        let end = if reply.is_positive() {
            End::Delivered(reply.clone())
        } else {
            End::Rejected(reply.clone())
        };
        let reply = match &self.link {
            Some(link) if reply.is_positive() && self.is_sealed() => {
                reply.with_suffix(&link.stamp(self.id))
            }
            _ => reply,
        };
        self.over(reply, end)
    }

    /// Whether the MTA's log is to tell how the message left, or by which id `waxseal explain` tells why not.
    fn is_sealed(&self) -> bool {
        self.gate.settings.seal == SealReply::Stamped && !self.ingress.mta_chooses()
    }

    /// Takes waxseal's own reason and makes the MTA's reply out of it.
    fn failed(&mut self, failure: Failure) -> Reply {
        let mut reply = failure.reply();
        if self.is_sealed() {
            reply = reply.with_suffix(&format!("({})", self.id));
        }
        self.over(reply, End::Failed(failure))
    }

    /// Ends a transaction; the next message may have the connection. Where the MX is the MTA's choice, that is the
    /// next one of its session.
    fn dismiss(&self, transaction: Transaction) {
        let Some(line) = transaction.into_line() else {
            return;
        };
        match &self.chosen {
            Some(chosen) => chosen.give_back(line),
            None => self.gate.pool.rest(line, &self.gate.settings),
        }
    }

    fn settle(&mut self, begun: Result<Result<(), Reply>, Failure>) -> Result<(), Reply> {
        match begun {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reply)) => Err(self.conclude(reply)),
            Err(failure) => Err(self.stop(Stop::Failure(failure))),
        }
    }

    fn stop(&mut self, stop: Stop) -> Reply {
        match stop {
            Stop::Failure(failure) => self.failed(failure),
            Stop::Host(policy, failure) => {
                self.policy = policy;
                self.failed(failure)
            }
            Stop::Replied(link, reply) => {
                self.linked(link);
                self.over(reply.clone(), End::Rejected(reply))
            }
        }
    }

    /// Takes note of the connection that the message got, and of whose word that was.
    fn linked(&mut self, link: Arc<Link>) {
        self.policy = link.requirement.policy;
        self.link = Some(link);
    }

    fn over(&mut self, reply: Reply, end: End) -> Reply {
        let reply = reply.relayed();
        let failed = matches!(end, End::Failed(_));
        let next = State::Over(reply.clone(), end);
        match std::mem::replace(&mut self.state, next) {
            State::Open(transaction) if failed => transaction.end(),
            State::Open(transaction) => self.dismiss(*transaction),
            _ => {}
        }
        reply
    }

    /// What a leg that is over says.
    fn answer(&self) -> Reply {
        match &self.state {
            State::Over(reply, _) => reply.clone(),
            _ => Reply::new(503, "5.5.1", "there is no recipient for this message"),
        }
    }
}

impl Drop for Leg {
    /// Records the outcome, and closes the connection of a leg that was abandoned.
    fn drop(&mut self) {
        let end = match std::mem::replace(&mut self.state, State::Recorded) {
            State::New | State::Recorded => return,
            State::Over(_, end) => end,
            State::Open(transaction) => {
                self.dismiss(*transaction);
                match self.refusal.take() {
                    Some(reply) if self.recipients == 0 => End::Rejected(reply),
                    _ => End::Abandoned,
                }
            }
        };
        let outcome = Arc::new(Outcome {
            id: self.id,
            listener: self.ingress,
            destination: self.destination.clone(),
            sender: self.sender.clone(),
            policy: self.policy,
            decision: self.decision.take(),
            attempts: std::mem::take(&mut self.trail).into_attempts(),
            link: self.link.take(),
            recipients: self.recipients,
            octets: self.octets,
            elapsed: self.started.elapsed(),
            end,
        });
        self.gate.observer.record(Event::Outcome(&outcome));
    }
}
