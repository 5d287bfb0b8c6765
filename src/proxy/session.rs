//! The driver of one session: reads the MTA's lines, asks the legs, writes the replies.
//!
//! `smtp::session` knows the protocol; this loop knows sockets and time. Commands that arrive in one
//! burst stay one burst: recipients are gathered until something else is asked or nothing is left to
//! read, then offered to all legs at once, and their replies leave in one write, in order.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use smallvec::SmallVec;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::name::Destination;
use crate::net::stream::{LINES, Wire, WireError, trim_line};
use crate::policy::outcome::{Event, Ingress};
use crate::policy::refusal::Refusal;
use crate::proxy::admission::Company;
use crate::proxy::caps::Caps;
use crate::proxy::chosen::Chosen;
use crate::proxy::content::{Content, Taken, swallow};
use crate::proxy::gate::{Gate, SessionGate};
use crate::proxy::leg::{Leg, of_each};
use crate::proxy::settings::Chooser;
use crate::proxy::transaction::{Follows, Replies};
use crate::smtp::command::{self, Chunk, Command, Last, Recipient, SyntaxError};
use crate::smtp::reply::Reply;
use crate::smtp::session::{Action, Answered, Session};

mod starttls;

/// One session with an MTA.
pub struct Driver {
    /// The gate as it is now; a transaction keeps the one that it began with.
    pub(super) gates: Arc<ArcSwap<Gate>>,
    pub(super) gate: SessionGate,
    pub(super) ingress: Ingress,
    pub(super) client: SocketAddr,
    pub(super) chooser: Chooser,
    /// The MX that the MTA has chosen, where it does.
    pub(super) chosen: Option<Chosen>,
    pub(super) wire: Wire,
    pub(super) session: Session,
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Cancelled once waxseal is stopping. It is the session's own: it waits for every line.
    pub(super) stop: CancellationToken,
    pub(super) output: Vec<u8>,
    pub(super) burst: Vec<Pending>,
    pub(super) transaction: Transaction,
}

/// What is known of the transaction at hand.
#[derive(Default)]
pub(super) struct Transaction {
    legs: Vec<Leg>,
    /// What they know of each other, once there are several.
    company: Option<Company>,
    /// The destination of each accepted recipient, in order.
    accepted: SmallVec<[Destination; 1]>,
    /// The content, once BDAT has begun.
    content: Option<Content>,
}

impl Transaction {
    /// Tells legs of each other, where they may stand in each other's way.
    fn introduce_legs(&mut self, caps: &Caps) {
        if self.legs.len() > 1 && !caps.is_empty() {
            let company = self.company.get_or_insert_default();
            self.legs.iter_mut().for_each(|leg| leg.joins(company));
        }
    }

    /// The place of the leg to a destination.
    fn leg_to(&self, to: &Destination) -> Option<usize> {
        self.legs.iter().position(|leg| leg.destination() == to)
    }
}

/// A recipient of the burst, or the reply that it has already got.
pub(super) enum Pending {
    Asked(Recipient),
    Answered(Reply),
}

/// Why a session ends.
pub(super) enum Farewell {
    /// The reply has been written.
    Said,
    /// Say this first.
    Say(Refusal),
    /// The MTA is gone.
    Gone,
}

impl From<WireError> for Farewell {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TimedOut => Self::Say(Refusal::Idle),
            _ => Self::Gone,
        }
    }
}

pub(super) type Step = Result<(), Farewell>;

impl Driver {
    /// Runs the session to its end.
    pub async fn run(mut self) {
        let farewell = match self.arrive().boxed().await {
            Ok(()) => self.converse().await,
            Err(farewell) => farewell,
        };
        // Open legs end here, before the last word, so that nothing of them can outlive the session.
        self.transaction = Transaction::default();
        if let Some(chosen) = self.chosen.take() {
            chosen.part();
        }
        if let Farewell::Say(refusal) = farewell {
            self.refused(refusal);
            self.reply(&refusal.reply());
        }
        if !matches!(farewell, Farewell::Gone) {
            let _ = self.flush().await;
            let _ = self.wire.shutdown().await;
        }
    }

    async fn converse(&mut self) -> Farewell {
        loop {
            if let Err(farewell) = self.step().await {
                return farewell;
            }
        }
    }

    /// Reads one command and does what it asks.
    async fn step(&mut self) -> Step {
        let length = self.next_line().await?;
        let parsed = command::parse(trim_line(&self.wire.buffered()[..length]));
        self.wire.consume(length);
        if !self.joins_burst(&parsed) {
            let follows = match parsed {
                Ok(Command::Data) => Follows::Data(self.gate.settings.mx.small_messages),
                _ => Follows::Nothing,
            };
            self.settle_burst(follows).await;
        }
        match self.session.command(parsed) {
            Action::Reply(reply) => {
                if self.burst.is_empty() {
                    self.reply(&reply);
                } else {
                    self.burst.push(Pending::Answered(reply));
                }
                Ok(())
            }
            Action::Recipient(recipient) => {
                self.burst.push(Pending::Asked(recipient));
                Ok(())
            }
            Action::Data => self.data().await,
            Action::Chunk(chunk) => self.chunk(chunk).boxed().await,
            Action::SwallowChunk(octets, reply) => {
                let within = self.gate.settings.timeouts.mta_data;
                swallow(&mut self.wire, octets, within).await?;
                self.reply(&reply);
                Ok(())
            }
            Action::Reset(reply) => {
                self.transaction = Transaction::default();
                self.reply(&reply);
                Ok(())
            }
            Action::Hello(hello) => self.hello(&hello).boxed().await,
            Action::StartTls(reply) => self.starttls(&reply).boxed().await,
            Action::PassStartTls => self.pass_starttls().boxed().await,
            Action::Quit(reply) | Action::Close(reply) => {
                self.reply(&reply);
                Err(Farewell::Said)
            }
        }
    }

    /// Whether a command may join the burst before the recipients in it are answered. In `relay` another
    /// domain may not: it gets its turn if the MX of the first takes no recipient, and a domain that is
    /// dead for days must not hold up those that an MTA names behind it.
    fn joins_burst(&self, parsed: &Result<Command, SyntaxError>) -> bool {
        let Ok(Command::Rcpt(recipient)) = parsed else {
            return false;
        };
        let to = recipient.path.destination();
        let elsewhere = |pending: &Pending| matches!(pending, Pending::Asked(other) if other.path.destination() != to);
        self.ingress == Ingress::Lmtp || !self.burst.iter().any(elsewhere)
    }

    /// Waits for a whole line. Before it waits, everything that is pending is asked and said.
    async fn next_line(&mut self) -> Result<usize, Farewell> {
        let limit = self.gate.settings.limits.max_command_line;
        loop {
            match self.wire.line_length() {
                Some(length) if length <= limit => return Ok(length),
                None if self.wire.buffered().len() < limit => {}
                _ => {
                    self.settle_burst(Follows::Nothing).await;
                    return Err(Farewell::Say(Refusal::LineTooLong));
                }
            }
            self.settle_burst(Follows::Nothing).await;
            self.flush().await?;
            self.await_input().await?;
            self.is_smtp()?;
        }
    }

    /// No command begins with a control character; a TLS handshake does, and has no end of line to wait for.
    fn is_smtp(&self) -> Step {
        let first = self.wire.buffered().first();
        let foreign = |octet: &u8| octet.is_ascii_control() && !octet.is_ascii_whitespace();
        if self.chosen.is_some() && first.is_some_and(foreign) {
            return Err(Farewell::Say(Refusal::NotSmtp));
        }
        Ok(())
    }

    /// Waits for input, or for the order to stop where no transaction is open.
    pub(super) async fn await_input(&mut self) -> Step {
        let idle = self.gate.settings.timeouts.idle;
        let most = LINES.max(self.gate.settings.limits.max_command_line);
        if !self.transaction.legs.is_empty() {
            return Ok(self.wire.fill(most, idle).await?);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Farewell::Say(Refusal::Draining)),
            filled = self.wire.fill(most, idle) => Ok(filled?),
        }
    }

    /// Offers the recipients of the burst, and what follows them, to their legs, all legs at once, and writes the
    /// replies.
    async fn settle_burst(&mut self, follows: Follows) {
        if self.burst.is_empty() {
            return;
        }
        let burst = std::mem::take(&mut self.burst);
        let Some(mail) = self.session.mail() else {
            return;
        };
        if self.transaction.legs.is_empty() {
            let now = self.gates.load();
            if !Arc::ptr_eq(&*self.gate, &*now) {
                self.gate = Arc::new(Arc::clone(&now));
            }
        }
        for pending in &burst {
            if let Pending::Asked(recipient) = pending {
                let to = recipient.path.destination();
                if self.transaction.leg_to(to).is_none() {
                    let gate = Arc::clone(&self.gate);
                    let chosen = self.chosen.clone();
                    let leg = Leg::new(gate, self.ingress, chosen, to.clone(), mail);
                    self.transaction.legs.push(leg);
                }
            }
        }
        self.transaction.introduce_legs(&self.gate.caps);
        let ask = |leg| {
            let burst = &burst;
            async move {
                let leg: &mut Leg = leg;
                let mine: SmallVec<[_; 1]> = burst.iter().filter_map(|p| p.asked_of(leg)).collect();
                if mine.is_empty() {
                    Replies::new()
                } else {
                    leg.offer(mail, &mine, follows).await
                }
            }
        };
        let replies = of_each(&mut self.transaction.legs, ask).await;
        let replies = replies.into_iter().map(Replies::into_iter);
        let mut replies: SmallVec<[_; 1]> = replies.collect();
        for pending in burst {
            match pending {
                Pending::Answered(reply) => self.reply(&reply),
                Pending::Asked(recipient) => {
                    let to = recipient.path.destination();
                    let leg = self.transaction.leg_to(to);
                    let reply = leg.and_then(|leg| replies[leg].next());
                    self.answer_recipient(to, reply);
                }
            }
        }
    }

    fn answer_recipient(&mut self, to: &Destination, reply: Option<Reply>) {
        let reply =
            reply.unwrap_or_else(|| Reply::new(451, "4.3.0", "no reply for this recipient"));
        let answered = if reply.is_positive() {
            Answered::Accepted
        } else {
            Answered::Refused
        };
        if answered == Answered::Accepted {
            self.transaction.accepted.push(to.clone());
        }
        self.session.recipient_answered(answered);
        self.reply(&reply);
    }

    /// DATA: the MX's 354 first, where it is asked for one, then ours, then the content.
    async fn data(&mut self) -> Step {
        self.drop_legs_without_recipients();
        let begun = of_each(&mut self.transaction.legs, Leg::begin_data).await;
        // In LMTP each recipient gets its reply after the content.
        if let (false, [Err(reply)]) = (self.ingress == Ingress::Lmtp, &begun[..]) {
            self.reply(reply);
            self.end_message();
            return Ok(());
        }
        self.reply(&Reply::fixed(354, "End data with <CR><LF>.<CR><LF>"));
        self.flush().await?;
        let Transaction { legs, .. } = &mut self.transaction;
        let taken = Content::default()
            .data(&mut self.wire, legs, &self.gate.settings)
            .await?;
        let verdicts = match taken {
            Taken::Whole => of_each(legs, Leg::end_of_data).await,
            Taken::Refused(_) => Replies::new(),
        };
        self.answer_message(taken, Last::Yes, &verdicts);
        Ok(())
    }

    /// BDAT: one chunk, answered by the MX where it has CHUNKING.
    async fn chunk(&mut self, chunk: Chunk) -> Step {
        if self.transaction.content.is_none() {
            self.drop_legs_without_recipients();
        }
        let Transaction { legs, content, .. } = &mut self.transaction;
        let content = content.get_or_insert_default();
        let taken = content
            .chunk(&mut self.wire, chunk, legs, &self.gate.settings)
            .await?;
        if let Taken::Refused(_) = taken {
            self.answer_message(taken, chunk.last, &[]);
            return Ok(());
        }
        let replies = of_each(legs, |leg| leg.end_chunk(chunk.last)).await;
        match chunk_verdict(self.ingress, chunk, replies) {
            ControlFlow::Continue(reply) => self.reply(&reply),
            ControlFlow::Break(verdicts) => self.answer_message(taken, chunk.last, &verdicts),
        }
        Ok(())
    }

    /// The replies to the end of a message: one in SMTP, one for each recipient in LMTP (RFC 2033 §4.2). A
    /// chunk that is not the last one has a single reply in either (RFC 2033 §4.3).
    fn answer_message(&mut self, taken: Taken, last: Last, verdicts: &[Reply]) {
        if let Taken::Refused(refusal) = taken {
            self.refused(refusal);
        }
        let accepted = std::mem::take(&mut self.transaction.accepted);
        let recipients = match (self.ingress, last) {
            (Ingress::Lmtp, Last::Yes) => &accepted[..],
            _ => &accepted[..accepted.len().min(1)],
        };
        for to in recipients {
            let leg = self.transaction.leg_to(to);
            let reply = match (taken, leg.and_then(|leg| verdicts.get(leg))) {
                (Taken::Refused(refusal), _) => refusal.reply(),
                (Taken::Whole, Some(reply)) => reply.clone(),
                (Taken::Whole, None) => Reply::new(451, "4.3.0", "no reply for this recipient"),
            };
            self.reply(&reply);
        }
        self.end_message();
    }

    fn end_message(&mut self) {
        self.transaction = Transaction::default();
        self.session.message_done();
    }

    fn drop_legs_without_recipients(&mut self) {
        self.transaction.legs.retain(|leg| leg.accepted() > 0);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.gate
            .observer
            .record(Event::Refused(self.ingress, refusal));
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    pub(super) async fn flush(&mut self) -> Step {
        if !self.output.is_empty() {
            let within = self.gate.settings.timeouts.idle;
            self.wire.send(&self.output, within).await?;
            self.output.clear();
        }
        Ok(())
    }
}

/// After a chunk that is not the last the message goes on as long as its leg can carry it; in LMTP in any
/// case, because only the last chunk has a reply for each recipient.
fn chunk_verdict(
    ingress: Ingress,
    chunk: Chunk,
    replies: SmallVec<[Option<Reply>; 1]>,
) -> ControlFlow<Replies, Reply> {
    let good = |reply: &Option<Reply>| reply.as_ref().is_none_or(Reply::is_positive);
    let going_on = ingress == Ingress::Lmtp || replies.iter().all(good);
    if chunk.last == Last::No && going_on {
        let text = format!("{} octets received", chunk.size);
        return ControlFlow::Continue(Reply::new(250, "2.0.0", text));
    }
    let silent = || Reply::new(451, "4.3.0", "no reply to the last chunk");
    ControlFlow::Break(
        replies
            .into_iter()
            .map(|reply| reply.unwrap_or_else(silent))
            .collect(),
    )
}

impl Pending {
    fn asked_of(&self, leg: &Leg) -> Option<&Recipient> {
        match self {
            Self::Asked(recipient) if recipient.path.destination() == leg.destination() => {
                Some(recipient)
            }
            _ => None,
        }
    }
}
