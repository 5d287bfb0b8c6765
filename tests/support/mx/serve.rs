//! One connection to a scripted MX.

mod perform;
mod transfer;

use std::{convert::Infallible, io, sync::Arc};

use rustls::{
    HandshakeKind, ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{
    body::Body,
    record::{Command, Handshake, Ledger},
    script::{Act, Answer, Ask, Interrupt, Script, StartTls, Tls, Versions, address, reply},
};
use crate::support::{ca::Identity, stream::Stream};

/// A script, ready to be played.
pub(super) struct Stage {
    script: Script,
    acceptor: Option<TlsAcceptor>,
}

impl Stage {
    pub(super) fn new(script: Script) -> Self {
        let tls = script.starttls.tls();
        let acceptor = tls.map(acceptor);
        Self { script, acceptor }
    }
}

/// The certificates of a server, by the name that it is asked for.
#[derive(Debug)]
struct Shown {
    otherwise: Arc<CertifiedKey>,
    by_name: Vec<(&'static str, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let known = self.by_name.iter().find(|(name, _)| asked == Some(name));
        Some(Arc::clone(known.map_or(&self.otherwise, |(_, key)| key)))
    }
}

/// Whether the certificate can be read, and is of this key, is nothing to a server.
fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(identity.key());
    Arc::new(CertifiedKey::new(identity.chain.clone(), key.unwrap()))
}

pub(in crate::support) fn acceptor(tls: &Tls) -> TlsAcceptor {
    let versions: &[_] = match tls.versions {
        Versions::All => rustls::ALL_VERSIONS,
        Versions::Only12 => &[&rustls::version::TLS12],
        Versions::Only13 => &[&rustls::version::TLS13],
    };
    let by_name = tls
        .by_name
        .iter()
        .map(|(name, identity)| (*name, certified(identity)));
    let shown = Shown {
        otherwise: certified(&tls.identity),
        by_name: by_name.collect(),
    };
    let provider = aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    if let Some(ticketer) = &tls.ticketer {
        config.ticketer = Arc::clone(ticketer);
    }
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
    // Two short writes in a row would otherwise wait for a delayed acknowledgement.
    let _ = tcp.set_nodelay(true);
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
        self.greet().await?;
        loop {
            if let Err(gone) = self.converse().await {
                self.abandon();
                return Err(gone);
            }
            self = self.handshake().await?;
        }
    }

    async fn greet(&mut self) -> Result<(), Gone> {
        let script = &self.stage.script;
        let greeting = script.greeting.clone();
        let greeting =
            greeting.unwrap_or_else(|| reply(220, &format!("{} ESMTP", script.name)).into());
        self.answer("", "", greeting).await?;
        Ok(())
    }

    /// Commands, up to one that a handshake follows.
    async fn converse(&mut self) -> Result<(), Gone> {
        while let Next::Command = self.command().await? {}
        Ok(())
    }

    async fn command(&mut self) -> Result<Next, Gone> {
        let line = self.line().await?;
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let script = &Arc::clone(&self.stage).script;
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.ehlo(argument).await?,
            "HELO" => self.helo(argument).await?,
            "STARTTLS" => return self.starttls().await,
            "MAIL" => self.mail(argument).await?,
            "RCPT" => self.rcpt(argument).await?,
            "DATA" => self.data(argument).await?,
            "BDAT" => self.bdat(argument).await?,
            "RSET" => {
                self.abandon();
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

    async fn ehlo(&mut self, name: &str) -> Result<(), Gone> {
        let answer = self.stage.script.ehlo.clone();
        let answer = answer.unwrap_or_else(|| self.capabilities().into());
        let code = self.answer("EHLO", name, answer).await?;
        self.greeted(name, code);
        Ok(())
    }

    async fn helo(&mut self, name: &str) -> Result<(), Gone> {
        let script = &self.stage.script;
        let answer = script.helo.clone();
        let answer = answer.unwrap_or_else(|| reply(250, &script.name).into());
        let code = self.answer("HELO", name, answer).await?;
        self.greeted(name, code);
        Ok(())
    }

    fn greeted(&mut self, name: &str, code: Option<u16>) {
        if is_positive(code) {
            self.helo = Some(name.to_owned());
            self.abandon();
        }
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
        let answer = self.stage.script.mail.clone();
        if is_positive(self.answer("MAIL", argument, answer).await?) {
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
        let answer = self.stage.script.rcpt.clone();
        let code = self.answer("RCPT", argument, answer).await?;
        if let Some(transaction) = self.transaction.as_mut().filter(|_| is_positive(code)) {
            transaction.recipients.push(address(argument).to_owned());
        }
        Ok(())
    }

    fn ask<'a>(&self, verb: &str, argument: &'a str) -> Ask<'a> {
        Ask {
            argument,
            nth: self.ledger.count(verb),
            connection: self.number,
            tls: self.tls,
        }
    }
}

fn is_positive(code: Option<u16>) -> bool {
    code.is_some_and(|code| (200..300).contains(&code))
}
