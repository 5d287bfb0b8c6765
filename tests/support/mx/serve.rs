//! One connection to a scripted MX.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use rustls::{HandshakeKind, ServerConfig, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{
    body::{Body, Fed},
    record::{Command, Handshake, Ledger, Message, Via},
    script::{Act, Answer, Ask, Interrupt, Script, StartTls, Tls, Versions, address, reply},
};
use crate::support::stream::Stream;

/// How long a closing MX lets the peer read its last words.
const LINGER: Duration = Duration::from_secs(2);

/// A script, ready to be played.
pub(super) struct Stage {
    script: Script,
    acceptor: Option<TlsAcceptor>,
}

impl Stage {
    pub(super) fn new(script: Script) -> Self {
        let acceptor = script.starttls.tls().map(acceptor);
        Self { script, acceptor }
    }
}

fn acceptor(tls: &Tls) -> TlsAcceptor {
    let versions: &[_] = match tls.versions {
        Versions::All => rustls::ALL_VERSIONS,
        Versions::Only12 => &[&rustls::version::TLS12],
        Versions::Only13 => &[&rustls::version::TLS13],
    };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(tls.identity.chain.clone(), tls.identity.key())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The connection is over, by whomever.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// What follows a command.
enum Next {
    Command,
    Handshake,
}

/// What tells the length of a body.
enum Frame {
    UntilDot,
    Octets(u64),
}

struct Transaction {
    from: String,
    from_parameters: String,
    recipients: Vec<String>,
    /// The chunks so far.
    bdat: Option<Body>,
}

struct Conversation {
    io: BufReader<Stream>,
    tls: bool,
    number: usize,
    stage: Arc<Stage>,
    ledger: Arc<Ledger>,
    helo: Option<String>,
    transaction: Option<Transaction>,
    interrupt: Option<Interrupt>,
}

pub(super) async fn serve(tcp: TcpStream, number: usize, stage: Arc<Stage>, ledger: Arc<Ledger>) {
    let conversation = Conversation {
        io: BufReader::with_capacity(64 * 1024, Stream::Plain(tcp)),
        tls: false,
        number,
        stage,
        ledger: Arc::clone(&ledger),
        helo: None,
        transaction: None,
        interrupt: None,
    };
    let Err(Gone) = conversation.run().await;
    ledger.write(|record| record.closed += 1);
}

impl Conversation {
    async fn run(mut self) -> Result<Infallible, Gone> {
        let hello = reply(220, &format!("{} ESMTP", self.stage.script.name));
        self.answer(
            "",
            "",
            self.stage.script.greeting.clone().unwrap_or(hello.into()),
        )
        .await?;
        loop {
            if let Next::Handshake = self.command().await? {
                self = self.handshake().await?;
            }
        }
    }

    async fn command(&mut self) -> Result<Next, Gone> {
        let line = self.line().await?;
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let script = &Arc::clone(&self.stage).script;
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.hello(
                    "EHLO",
                    argument,
                    script.ehlo.clone().unwrap_or(self.capabilities().into()),
                )
                .await?
            }
            "HELO" => {
                self.hello(
                    "HELO",
                    argument,
                    script
                        .helo
                        .clone()
                        .unwrap_or(reply(250, &script.name).into()),
                )
                .await?
            }
            "STARTTLS" => return self.starttls().await,
            "MAIL" => self.mail(argument).await?,
            "RCPT" => self.rcpt(argument).await?,
            "DATA" => self.data(argument).await?,
            "BDAT" => self.bdat(argument).await?,
            "RSET" => {
                self.transaction = None;
                self.answer("RSET", argument, script.rset.clone()).await?;
            }
            "NOOP" => _ = self.answer("NOOP", argument, script.noop.clone()).await?,
            "QUIT" => _ = self.answer("QUIT", argument, script.quit.clone()).await?,
            _ => self.say(502, "5.5.1 Command not implemented").await?,
        }
        Ok(Next::Command)
    }

    /// A command line. LF alone ends it as well: no MX minds.
    async fn line(&mut self) -> Result<String, Gone> {
        let mut line = Vec::new();
        self.io.read_until(b'\n', &mut line).await?;
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(Gone);
        };
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let command = Command {
            connection: self.number,
            tls: self.tls,
            line: line.clone(),
            at: Instant::now(),
        };
        self.ledger.write(|record| record.commands.push(command));
        Ok(line)
    }

    fn capabilities(&self) -> Act {
        let script = &self.stage.script;
        let mut lines = vec![script.name.clone()];
        if self.tls {
            lines.extend_from_slice(
                script
                    .capabilities_tls
                    .as_ref()
                    .unwrap_or(&script.capabilities),
            );
        } else {
            lines.extend_from_slice(&script.capabilities);
            lines.extend(script.starttls.is_listed().then(|| "STARTTLS".to_owned()));
        }
        reply(250, &lines.join("\n"))
    }

    async fn hello(&mut self, verb: &str, name: &str, answer: Answer) -> Result<(), Gone> {
        if is_positive(self.answer(verb, name, answer).await?) {
            self.helo = Some(name.to_owned());
            self.transaction = None;
        }
        Ok(())
    }

    async fn starttls(&mut self) -> Result<Next, Gone> {
        let stage = Arc::clone(&self.stage);
        if self.tls {
            self.say(503, "5.5.1 TLS already active").await?;
            return Ok(Next::Command);
        }
        match &stage.script.starttls {
            StartTls::Absent => self.say(502, "5.5.1 Command not implemented").await?,
            StartTls::Answers(act) => _ = self.perform(act.clone()).await?,
            StartTls::Breaks(act) => return self.break_handshake(act.clone()).await,
            StartTls::Offered(tls) | StartTls::Stripped(tls) => {
                let ready = [b"220 2.0.0 Ready to start TLS\r\n", tls.injected.as_slice()].concat();
                self.perform(Act::Send(ready)).await?;
                return Ok(Next::Handshake);
            }
        }
        Ok(Next::Command)
    }

    async fn break_handshake(&mut self, act: Act) -> Result<Next, Gone> {
        self.say(220, "2.0.0 Ready to start TLS").await?;
        let client_hello = self.io.fill_buf().await?.len();
        self.io.consume(client_hello);
        self.perform(act).await?;
        self.close().await
    }

    async fn handshake(self) -> Result<Self, Gone> {
        let early = self.io.buffer().to_vec();
        let (Some(acceptor), Stream::Plain(tcp)) = (&self.stage.acceptor, self.io.into_inner())
        else {
            return Err(Gone);
        };
        if !early.is_empty() {
            self.ledger
                .write(|record| record.early_plaintext.push(early));
            return Err(Gone);
        }
        let stream = match acceptor.accept(tcp).await {
            Ok(stream) => stream,
            Err(error) => {
                self.ledger
                    .write(|record| record.failed_handshakes.push(error.to_string()));
                return Err(Gone);
            }
        };
        let (_, tls) = stream.get_ref();
        let handshake = Handshake {
            connection: self.number,
            sni: tls.server_name().map(str::to_owned),
            version: tls.protocol_version().unwrap(),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        self.ledger
            .write(|record| record.handshakes.push(handshake));
        let io =
            BufReader::with_capacity(64 * 1024, Stream::Tls(Box::new(TlsStream::Server(stream))));
        Ok(Self {
            io,
            tls: true,
            helo: None,
            transaction: None,
            ..self
        })
    }

    async fn mail(&mut self, argument: &str) -> Result<(), Gone> {
        if self.helo.is_none() || self.transaction.is_some() {
            return self.say(503, "5.5.1 MAIL out of order").await;
        }
        if is_positive(
            self.answer("MAIL", argument, self.stage.script.mail.clone())
                .await?,
        ) {
            let parameters = argument.split_once('>').map_or("", |(_, rest)| rest.trim());
            self.transaction = Some(Transaction {
                from: address(argument).to_owned(),
                from_parameters: parameters.to_owned(),
                recipients: Vec::new(),
                bdat: None,
            });
        }
        Ok(())
    }

    async fn rcpt(&mut self, argument: &str) -> Result<(), Gone> {
        if self.transaction.is_none() {
            return self.say(503, "5.5.1 RCPT out of order").await;
        }
        let code = self
            .answer("RCPT", argument, self.stage.script.rcpt.clone())
            .await?;
        if let Some(transaction) = self.transaction.as_mut().filter(|_| is_positive(code)) {
            transaction.recipients.push(address(argument).to_owned());
        }
        Ok(())
    }

    fn has_recipients(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|transaction| !transaction.recipients.is_empty())
    }

    async fn data(&mut self, argument: &str) -> Result<(), Gone> {
        if !self.has_recipients() {
            return self.say(503, "5.5.1 DATA without recipients").await;
        }
        if self
            .answer("DATA", argument, self.stage.script.data.clone())
            .await?
            != Some(354)
        {
            return Ok(());
        }
        let mut body = self.new_body();
        self.receive(&mut body, Frame::UntilDot, Via::Data).await?;
        self.finish(&body, Via::Data).await
    }

    async fn bdat(&mut self, argument: &str) -> Result<(), Gone> {
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
        self.receive(&mut body, Frame::Octets(size), Via::Bdat)
            .await?;
        match (&mut self.transaction, words.next()) {
            (Some(transaction), None) if !transaction.recipients.is_empty() => {
                transaction.bdat = Some(body);
                self.answer("BDAT", argument, self.stage.script.bdat.clone())
                    .await?;
                Ok(())
            }
            (Some(transaction), Some(_)) if !transaction.recipients.is_empty() => {
                self.finish(&body, Via::Bdat).await
            }
            _ => self.say(503, "5.5.1 BDAT without recipients").await,
        }
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
            let octets = first(octets, until_interrupt);
            let (used, complete) = match &mut frame {
                Frame::Octets(left) => {
                    let octets = first(octets, *left);
                    body.take(octets);
                    *left -= octets.len() as u64;
                    (octets.len(), false)
                }
                Frame::UntilDot => match body.feed(octets) {
                    Fed::All => (octets.len(), false),
                    Fed::EndAfter(used) => (used, true),
                },
            };
            self.io.consume(used);
            if complete {
                return Ok(());
            }
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
        if let Act::Stall = interrupt.act {
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

    fn ask<'a>(&self, verb: &str, argument: &'a str) -> Ask<'a> {
        Ask {
            argument,
            nth: self.ledger.count(verb),
            connection: self.number,
            tls: self.tls,
        }
    }

    async fn say(&mut self, code: u16, text: &str) -> Result<(), Gone> {
        self.perform(reply(code, text)).await?;
        Ok(())
    }

    async fn answer(
        &mut self,
        verb: &str,
        argument: &str,
        answer: Answer,
    ) -> Result<Option<u16>, Gone> {
        let act = answer.act(self.ask(verb, argument));
        self.perform(act).await
    }

    /// Acts; says which reply code the peer saw.
    async fn perform(&mut self, mut act: Act) -> Result<Option<u16>, Gone> {
        let code = act.code();
        while let Act::After(delay, then) = act {
            sleep(delay).await;
            act = *then;
        }
        match act {
            Act::Send(bytes) => self.send(&bytes).await?,
            Act::SendAndClose(bytes) => {
                self.send(&bytes).await?;
                self.close::<()>().await?;
            }
            Act::Drip(bytes, pause) => self.drip(&bytes, pause).await?,
            Act::EndlessLine => loop {
                self.send(&[b'x'; 4096]).await?;
            },
            Act::Close => {
                let _ = timeout(LINGER, self.io.shutdown()).await;
                return Err(Gone);
            }
            Act::Reset => {
                self.io.get_ref().tcp().set_zero_linger()?;
                return Err(Gone);
            }
            Act::Stall => std::future::pending().await,
            Act::After(..) => unreachable!("unwrapped above"),
        }
        Ok(code)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.io.write_all(bytes).await?;
        self.io.flush().await?;
        Ok(())
    }

    async fn drip(&mut self, bytes: &[u8], pause: Duration) -> Result<(), Gone> {
        for byte in bytes.chunks(1) {
            sleep(pause).await;
            self.send(byte).await?;
        }
        Ok(())
    }

    /// Closes in peace: reads what the peer still sends, or a reset would overtake the last reply.
    async fn close<T>(&mut self) -> Result<T, Gone> {
        let _ = timeout(LINGER, async {
            self.io.shutdown().await?;
            let mut rest = [0; 4096];
            while self.io.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
        Err(Gone)
    }
}

fn first(octets: &[u8], limit: u64) -> &[u8] {
    &octets[..usize::try_from(limit).map_or(octets.len(), |limit| limit.min(octets.len()))]
}

fn is_positive(code: Option<u16>) -> bool {
    code.is_some_and(|code| (200..300).contains(&code))
}
