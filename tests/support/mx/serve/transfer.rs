//! Bodies: DATA and BDAT.

use tokio::io::AsyncBufReadExt;

use super::{Conversation, Gone};
use crate::support::mx::{
    body::{Body, Fed},
    record::{Message, Via},
    script::Act,
};

/// What tells the length of a body.
enum Frame {
    UntilDot,
    Octets(u64),
}

impl Frame {
    /// Hands octets over to the body; says how many of them belong to it.
    fn feed(&mut self, body: &mut Body, octets: &[u8]) -> usize {
        match self {
            Self::Octets(left) => {
                let octets = first(octets, *left);
                body.take(octets);
                *left -= octets.len() as u64;
                octets.len()
            }
            Self::UntilDot => match body.feed(octets) {
                Fed::All => octets.len(),
                Fed::EndAfter(used) => {
                    *self = Self::Octets(0);
                    used
                }
            },
        }
    }
}

impl Conversation {
    fn has_recipients(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|transaction| !transaction.recipients.is_empty())
    }

    pub(super) async fn data(&mut self, argument: &str) -> Result<(), Gone> {
        if !self.has_recipients() {
            return self.say(503, "5.5.1 DATA without recipients").await;
        }
        let answer = self.stage.script.data.clone();
        if self.answer("DATA", argument, answer).await? != Some(354) {
            return Ok(());
        }
        let mut body = self.new_body();
        self.receive(&mut body, Frame::UntilDot, Via::Data).await?;
        self.finish(&body, Via::Data).await
    }

    pub(super) async fn bdat(&mut self, argument: &str) -> Result<(), Gone> {
        let mut words = argument.split(' ');
        let Some(size) = words.next().and_then(|size| size.parse().ok()) else {
            self.say(501, "5.5.4 BDAT needs a size").await?;
            return Err(Gone);
        };
        let bdat = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.bdat.take());
        let mut body = bdat.unwrap_or_else(|| self.new_body());
        let frame = Frame::Octets(size);
        self.receive(&mut body, frame, Via::Bdat).await?;
        if !self.has_recipients() {
            return self.say(503, "5.5.1 BDAT without recipients").await;
        }
        if words.next().is_some() {
            return self.finish(&body, Via::Bdat).await;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.bdat = Some(body);
        }
        let answer = self.stage.script.bdat.clone();
        self.answer("BDAT", argument, answer).await?;
        Ok(())
    }

    /// Ends a transaction without a message; chunks whose last never came are a partial one.
    pub(super) fn abandon(&mut self) {
        let bdat = self
            .transaction
            .as_mut()
            .and_then(|transaction| transaction.bdat.take());
        if let Some(body) = bdat {
            self.note_partial(&body, Via::Bdat);
        }
        self.transaction = None;
    }

    fn new_body(&mut self) -> Body {
        let script = &self.stage.script;
        self.interrupt.clone_from(&script.interrupt);
        Body::new(script.ends, script.keep)
    }

    /// Reads a body, or what the script lets come of it.
    async fn receive(&mut self, body: &mut Body, frame: Frame, via: Via) -> Result<(), Gone> {
        let received = self.read_body(body, frame, via).await;
        if received.is_err() {
            body.cut();
            self.note_partial(body, via);
        }
        received
    }

    async fn read_body(&mut self, body: &mut Body, mut frame: Frame, via: Via) -> Result<(), Gone> {
        loop {
            self.interrupt_at(body, via).await?;
            if let Frame::Octets(0) = frame {
                return Ok(());
            }
            let until_interrupt = self
                .interrupt
                .as_ref()
                .map_or(u64::MAX, |interrupt| interrupt.after - body.received);
            let octets = self.io.fill_buf().await?;
            if octets.is_empty() {
                return Err(Gone);
            }
            let used = frame.feed(body, first(octets, until_interrupt));
            self.io.consume(used);
        }
    }

    /// Does what the script wants to happen at this point of the body.
    async fn interrupt_at(&mut self, body: &mut Body, via: Via) -> Result<(), Gone> {
        let Some(interrupt) = self
            .interrupt
            .take_if(|interrupt| interrupt.after <= body.received)
        else {
            return Ok(());
        };
        if let Act::Stall = interrupt.act.last() {
            body.cut();
            self.note_partial(body, via);
        }
        self.perform(interrupt.act).await?;
        Ok(())
    }

    fn note_partial(&self, body: &Body, via: Via) {
        let partial = self.message(body, via, None);
        self.ledger.write(|record| record.partials.push(partial));
    }

    async fn finish(&mut self, body: &Body, via: Via) -> Result<(), Gone> {
        let ask = self.ask("end of data", "");
        let act = self.stage.script.end_of_data.act(ask);
        let message = self.message(body, via, act.code());
        self.transaction = None;
        self.ledger.write(|record| record.messages.push(message));
        self.perform(act).await?;
        Ok(())
    }

    fn message(&self, body: &Body, via: Via, reply: Option<u16>) -> Message {
        let transaction = self.transaction.as_ref();
        Message {
            connection: self.number,
            tls: self.tls,
            helo: self.helo.clone().unwrap_or_default(),
            from: transaction.map(|t| t.from.clone()).unwrap_or_default(),
            from_parameters: transaction
                .map(|t| t.from_parameters.clone())
                .unwrap_or_default(),
            recipients: transaction
                .map(|t| t.recipients.clone())
                .unwrap_or_default(),
            via,
            data: body.data.clone(),
            raw_data: body.raw_data.clone(),
            length: body.length,
            sha256: body.sha256(),
            reply,
        }
    }
}

fn first(octets: &[u8], limit: u64) -> &[u8] {
    &octets[..usize::try_from(limit).map_or(octets.len(), |limit| limit.min(octets.len()))]
}
