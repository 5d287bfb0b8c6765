//! One transaction with one MX: MAIL, RCPT, and the content in the form that the MX takes.
//!
//! MAIL and the first recipients go out in one write where the MX offers PIPELINING (RFC 2920), one by
//! one otherwise; and DATA with them where the MTA has said it already, so that all of it costs one round
//! trip. DATA from the MTA passes as it is, or, where the operator wants that, becomes one chunk if it is small
//! (`held`); BDAT passes as it is to an MX with CHUNKING (RFC 3030) and becomes DATA for one without.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::name::Destination;
use crate::policy::failure::{Failure, Phase};
use crate::policy::outcome::Link;
use crate::proxy::caps::Place;
use crate::proxy::held;
use crate::proxy::settings::{SmallMessages, Timeouts};
use crate::proxy::upstream::{Ready, Remembers, Settled};
use crate::smtp::bridge;
use crate::smtp::capabilities::Extension;
use crate::smtp::command::{Chunk, Last, Mail, Recipient};
use crate::smtp::data::DotStuffer;
use crate::smtp::reply::Reply;

/// Sender and first recipients of a leg.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) destination: &'a Destination,
    pub(super) mail: &'a Mail,
    pub(super) recipients: &'a [&'a Recipient],
    pub(super) follows: Follows,
}

/// What the MTA has already said behind its recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing, or nothing that is for the MX yet.
    Nothing,
    /// DATA, and how the message goes on from here if it is small.
    Data(SmallMessages),
}

/// One reply for each recipient, in order. Most messages have one.
pub(super) type Replies = SmallVec<[Reply; 1]>;

/// An envelope that an MX took, and its replies to the first recipients.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) transaction: Box<Transaction>,
    pub(super) replies: Replies,
}

/// Why an MX did not take the envelope.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// waxseal's own reason.
    Failed(Failure),
    /// The MX's reply to MAIL.
    Refused(Reply),
    /// What waxseal says because the MX lacks an extension that the message needs.
    Unbridgeable(Reply),
}

impl From<Failure> for NotBegun {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// An MX that has accepted MAIL FROM.
#[derive(Debug)]
pub(super) struct Transaction {
    line: Box<Settled>,
    timeouts: Timeouts,
    link: Arc<Link>,
    /// The size that the MTA has announced, if it has (RFC 1870 §5).
    announced: Option<u64>,
    body: Body,
    /// Recipients that the MX has accepted.
    accepted: usize,
    /// True while replies to recipients are to come: who is cut off then leaves a connection of no use.
    awaits_replies: bool,
}

/// The form in which content goes to the MX.
#[derive(Debug)]
enum Body {
    /// None yet.
    NotBegun,
    /// The MTA may send it, and the MX has heard nothing of it: it may be small enough for one chunk.
    Held,
    /// DATA has been said, and is not yet answered.
    Asked,
    /// DATA from the MTA, dot-stuffed by it.
    Data,
    /// BDAT to an MX with CHUNKING.
    Chunks,
    /// BDAT from the MTA, to an MX without.
    Stuffed(DotStuffer, Vec<u8>),
    /// The content has been sent and answered.
    Answered,
}

impl Ready {
    /// Sends MAIL FROM and the first recipients. An error tells which connection it was, and why.
    pub(super) async fn begin(
        mut self,
        timeouts: &Timeouts,
        envelope: &Envelope<'_>,
    ) -> Result<Begun, (Arc<Link>, NotBegun)> {
        let mut transaction = Box::new(Transaction {
            link: self.link(),
            line: self.line,
            timeouts: timeouts.clone(),
            announced: envelope.mail.size,
            body: Body::NotBegun,
            accepted: 0,
            awaits_replies: false,
        });
        match transaction.introduce(envelope).await {
            Ok(replies) => Ok(Begun {
                transaction,
                replies,
            }),
            Err(why) => {
                let link = Arc::clone(&transaction.link);
                if !matches!(why, NotBegun::Failed(_)) {
                    transaction.end();
                }
                Err((link, why))
            }
        }
    }
}

impl Transaction {
    /// True where the connection has a place that others may have to wait for.
    pub(super) fn has_place(&self) -> bool {
        let place = self.line.dialogue.place.as_ref();
        place.is_some_and(Place::is_scarce)
    }

    /// What the connection is.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Says MAIL FROM and the first recipients, and reads the replies to the latter.
    async fn introduce(&mut self, envelope: &Envelope<'_>) -> Result<Replies, NotBegun> {
        let Envelope {
            mail,
            recipients,
            follows,
            ..
        } = *envelope;
        let mut lines = Vec::with_capacity(256);
        bridge::mail_line(mail, &self.line.offers, &mut lines)
            .map_err(|unbridgeable| NotBegun::Unbridgeable(unbridgeable.reply()))?;
        let pipelined = self.line.offers.has(Extension::Pipelining);
        let mut within = self.patience();
        if self.line.remembers == Remembers::Envelope {
            self.reset(within).await?;
            within = self.timeouts.mail;
        }
        if pipelined {
            self.write_recipients(recipients, follows, &mut lines);
        }
        let dialogue = &mut self.line.dialogue;
        dialogue.send(&lines, Phase::Mail, within).await?;
        let reply = dialogue.verdict(Phase::Mail, within).await?;
        if !reply.is_positive() {
            return Err(NotBegun::Refused(reply));
        }
        Ok(if pipelined {
            self.recipient_replies(recipients.len()).await?
        } else {
            self.recipients(recipients, follows).await?
        })
    }

    /// How long the first reply may take. Of a connection that has waited somebody on the way may have lost track.
    fn patience(&self) -> Duration {
        if self.line.messages > 0 {
            self.timeouts.mail.min(self.timeouts.reused)
        } else {
            self.timeouts.mail
        }
    }

    /// Makes the MX forget the envelope of the message before.
    async fn reset(&mut self, within: Duration) -> Result<(), Failure> {
        let dialogue = &mut self.line.dialogue;
        let reply = dialogue.command(b"RSET\r\n", Phase::Mail, within).await?;
        if reply.is_positive() {
            Ok(())
        } else {
            Err(dialogue.out_of_place(Phase::Mail, &reply))
        }
    }

    fn write_recipients(
        &mut self,
        recipients: &[&Recipient],
        follows: Follows,
        lines: &mut Vec<u8>,
    ) {
        for recipient in recipients {
            bridge::rcpt_line(recipient, &self.line.offers, lines);
        }
        if let Follows::Data(small) = follows
            && !self.may_hold(small)
        {
            lines.extend_from_slice(b"DATA\r\n");
            self.body = Body::Asked;
        }
    }

    /// Sends further recipients and reads the replies, in order.
    pub(super) async fn recipients(
        &mut self,
        recipients: &[&Recipient],
        follows: Follows,
    ) -> Result<Replies, Failure> {
        let (at_once, follows) = if self.line.offers.has(Extension::Pipelining) {
            (recipients.len(), follows)
        } else {
            (1, Follows::Nothing)
        };
        self.awaits_replies = true;
        let mut replies = Replies::with_capacity(recipients.len());
        let mut lines = Vec::with_capacity(256);
        for batch in recipients.chunks(at_once.max(1)) {
            lines.clear();
            self.write_recipients(batch, follows, &mut lines);
            self.line
                .dialogue
                .send(&lines, Phase::Rcpt, self.timeouts.rcpt)
                .await?;
            replies.append(&mut self.recipient_replies(batch.len()).await?);
        }
        self.awaits_replies = false;
        Ok(replies)
    }

    async fn recipient_replies(&mut self, count: usize) -> Result<Replies, Failure> {
        let mut replies = Replies::with_capacity(count);
        for _ in 0..count {
            let reply = self.line.dialogue.verdict(Phase::Rcpt, self.timeouts.rcpt);
            replies.push(reply.await?);
        }
        self.accepted += replies.iter().filter(|reply| reply.is_positive()).count();
        if let (Body::Asked, 0) = (&self.body, self.accepted) {
            self.take_back_data().await;
        }
        Ok(replies)
    }

    /// RFC 2920 §3.1: an MX may say 354 although it has accepted no recipient. That connection is of no use any more.
    /// One that has refused DATA as well has only the envelope to forget.
    async fn take_back_data(&mut self) {
        let reply = self.line.dialogue.reply(Phase::Data, self.timeouts.data);
        if let Ok(reply) = reply.await
            && !reply.is_intermediate()
        {
            self.body = Body::NotBegun;
        }
    }

    /// Whether the content can wait until it is known to be small.
    fn may_hold(&self, small: SmallMessages) -> bool {
        small == SmallMessages::InOneChunk
            && self.line.offers.has(Extension::Chunking)
            && self.announced.is_none_or(|size| size <= held::MOST)
    }

    /// Makes the MX ready for content of DATA, or does without for now.
    pub(super) async fn begin_data(
        &mut self,
        small: SmallMessages,
    ) -> Result<Result<(), Reply>, Failure> {
        if matches!(self.body, Body::NotBegun) && self.may_hold(small) {
            self.body = Body::Held;
            return Ok(Ok(()));
        }
        self.ask_for_data().await
    }

    /// True while the MX has heard nothing of the content, and the MTA sends it.
    pub(super) fn holds(&self) -> bool {
        matches!(self.body, Body::Held)
    }

    /// Sends the whole message, which was held back, in one chunk.
    pub(super) async fn one_chunk(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.body = Body::Chunks;
        self.content(chunk).await
    }

    /// Asks the MX for its 354. A refusal is the MX's word on the message; a 2xx is none, because there is
    /// no message yet that could have been accepted.
    pub(super) async fn ask_for_data(&mut self) -> Result<Result<(), Reply>, Failure> {
        let (dialogue, within) = (&mut self.line.dialogue, self.timeouts.data);
        if !matches!(self.body, Body::Asked) {
            self.body = Body::Asked;
            dialogue.send(b"DATA\r\n", Phase::Data, within).await?;
        }
        let reply = dialogue.reply(Phase::Data, within).await?;
        self.body = Body::NotBegun;
        if reply.is_positive() {
            return Err(self.line.dialogue.out_of_place(Phase::Data, &reply));
        }
        if !reply.is_intermediate() {
            return Ok(Err(reply));
        }
        self.body = Body::Data;
        Ok(Ok(()))
    }

    /// Announces one chunk of the MTA's BDAT, or asks for 354 before the first one.
    pub(super) async fn begin_chunk(&mut self, chunk: Chunk) -> Result<Result<(), Reply>, Failure> {
        if let Body::NotBegun = self.body {
            if self.line.offers.has(Extension::Chunking) {
                self.body = Body::Chunks;
            } else {
                match self.ask_for_data().await? {
                    Ok(()) => self.body = Body::Stuffed(DotStuffer::default(), Vec::new()),
                    Err(reply) => return Ok(Err(reply)),
                }
            }
        }
        if let Body::Chunks = self.body {
            let last = if chunk.last == Last::Yes { " LAST" } else { "" };
            let line = format!("BDAT {}{last}\r\n", chunk.size);
            self.line
                .dialogue
                .send(line.as_bytes(), Phase::Data, self.timeouts.data)
                .await?;
        }
        Ok(Ok(()))
    }

    /// Sends a piece of the content, in the MTA's form. An MX that has already spoken has refused the
    /// message, or says 250 to something that it has not seen.
    pub(super) async fn content(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if let Some(failure) = self.line.dialogue.interruption(Phase::Content) {
            return Err(failure);
        }
        let within = self.timeouts.data_block;
        match &mut self.body {
            Body::Stuffed(stuffer, buffer) => {
                buffer.clear();
                stuffer.encode(piece, buffer);
                self.line
                    .dialogue
                    .send(buffer, Phase::Content, within)
                    .await
            }
            _ => self.line.dialogue.send(piece, Phase::Content, within).await,
        }
    }

    /// Ends one chunk. The reply is the MX's, or for an MX without CHUNKING none before the last.
    pub(super) async fn end_chunk(&mut self, last: Last) -> Result<Option<Reply>, Failure> {
        match (&mut self.body, last) {
            (Body::Stuffed(..), Last::No) => Ok(None),
            (Body::Stuffed(stuffer, buffer), Last::Yes) => {
                buffer.clear();
                stuffer.finish(buffer);
                let within = self.timeouts.data_block;
                self.line
                    .dialogue
                    .send(buffer, Phase::Content, within)
                    .await?;
                self.end_of_data().await.map(Some)
            }
            (_, Last::No) => self
                .line
                .dialogue
                .verdict(Phase::Content, self.timeouts.data_end)
                .await
                .map(Some),
            (_, Last::Yes) => self.end_of_data().await.map(Some),
        }
    }

    /// Waits for the MX's word on the message.
    pub(super) async fn end_of_data(&mut self) -> Result<Reply, Failure> {
        let reply = self
            .line
            .dialogue
            .verdict(Phase::EndOfData, self.timeouts.data_end)
            .await?;
        self.body = Body::Answered;
        Ok(reply)
    }

    /// After a write that failed: the MX may have said why before it closed.
    pub(super) async fn last_words(&mut self) -> Option<Reply> {
        let wait = Duration::from_secs(1);
        let reply = self.line.dialogue.reply(Phase::Content, wait).await.ok()?;
        // A success before the end of the content is no success.
        (reply.is_transient() || reply.is_permanent()).then_some(reply)
    }

    /// The connection, if it can carry another message after this one. In the middle of the content it is closed, so
    /// that what was sent can never become a message; and where a reply is owed, so that it is not taken for another.
    pub(super) fn into_line(mut self) -> Option<Box<Settled>> {
        self.line.remembers = match self.body {
            _ if self.awaits_replies => return None,
            Body::NotBegun | Body::Held => Remembers::Envelope,
            Body::Answered => Remembers::Nothing,
            Body::Asked | Body::Data | Body::Chunks | Body::Stuffed(..) => return None,
        };
        Some(self.line)
    }

    /// Ends the connection: politely where a command is expected, and otherwise by closing it, so that
    /// what was sent of the content can never become a message.
    pub(super) fn end(self) {
        match self.body {
            Body::NotBegun | Body::Held | Body::Answered => self.line.dialogue.quit(),
            Body::Asked | Body::Data | Body::Chunks | Body::Stuffed(..) => drop(self.line.dialogue),
        }
    }
}

#[cfg(test)]
mod tests;
