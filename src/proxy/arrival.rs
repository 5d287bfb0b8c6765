//! How a session begins: with a greeting of waxseal's own, or by finding out where the MTA wants to go.
//!
//! A firewall that sends a connection here keeps its destination, and a SOCKS client names one. The MX there is
//! dialled at once, and its greeting is what the MTA gets to see. Whatever cannot become a session of SMTP has a
//! clear end: a dead MX is a 421, so that the MTA tries its next one; waxseal's own connections and listeners, other
//! ports and other protocols are turned away; and what goes to a network of `bypass` is passed through untouched.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use crate::name::Host;
use crate::net::redirect::Redirect;
use crate::net::stream::LINES;
use crate::policy::facts::Addresses;
use crate::policy::failure::{Failure, Fault, Unreached};
use crate::policy::outcome::{Event, Untouched};
use crate::policy::refusal::Refusal;
use crate::proxy::chosen::Chosen;
use crate::proxy::session::{Driver, Farewell, Step, Transaction};
use crate::proxy::settings::Chooser;
use crate::smtp::session::Hello;
use crate::socks::{self, Method, Parsed, Target, Users};

/// Where the reply to a request says that nothing was connected.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Driver {
    /// Does what comes before the first command.
    pub(super) async fn arrive(&mut self) -> Step {
        match self.chooser.clone() {
            Chooser::Waxseal => {
                self.reply(&self.session.greeting());
                Ok(())
            }
            Chooser::Firewall { redirect, bypass } => self.intercepted(&*redirect, &bypass).await,
            Chooser::Socks { users, bypass } => self.by_socks(&users, &bypass).await,
        }
    }

    async fn intercepted(&mut self, redirect: &dyn Redirect, bypass: &[IpNet]) -> Step {
        let original = self.wire.plain().map(|stream| redirect.original(stream));
        let target = match original {
            Some(Ok(target)) if !self.gate.dialer.is_own_listener(target) => target,
            Some(Err(error)) => {
                tracing::info!(client = %self.client, %error, "no original destination");
                return Err(Farewell::Say(Refusal::NotRedirected));
            }
            _ => return Err(Farewell::Say(Refusal::NotRedirected)),
        };
        if self.gate.dialer.outgoing.is_own(self.client) {
            tracing::warn!(%target, "the firewall has sent waxseal's own connection back to it");
            return Err(Farewell::Say(Refusal::Loop));
        }
        let chosen = Chosen::new(target, None, self.client.ip());
        if care(bypass, target) == Care::Untouched {
            return match Arc::clone(&self.gate).dial_listed(&chosen).await {
                Ok(()) => self.pass_through(&chosen).await,
                Err(failure) => Err(self.unreached(&chosen, &failure)),
            };
        }
        if target.port() != self.gate.settings.mx.port {
            self.wrong_port(target);
            return Err(Farewell::Gone);
        }
        self.greet(chosen).await
    }

    /// Dials, and passes the greeting of the MX on. An MTA waits for it; who talks first does not speak SMTP.
    async fn greet(&mut self, chosen: Chosen) -> Step {
        let gate = Arc::clone(&self.gate);
        let waits = &gate.settings.timeouts;
        let patience = waits.connect + waits.greeting;
        let greeting = async {
            if !chosen.is_dialled() {
                gate.dial(&chosen, gate.patience()).await?;
            }
            gate.hail(&chosen).await
        };
        let greeting = tokio::select! {
            biased;
            greeting = greeting => greeting,
            () = self.stop.cancelled() => return Err(Farewell::Say(Refusal::Draining)),
            early = self.wire.fill(LINES, patience) => {
                early?;
                return Err(Farewell::Say(Refusal::NotSmtp));
            }
        };
        match greeting {
            Ok(greeting) => {
                self.reply(&greeting);
                if greeting.code() != 220 {
                    return Err(Farewell::Said);
                }
                self.chosen = Some(chosen);
                Ok(())
            }
            Err(failure) => Err(self.unreached(&chosen, &failure)),
        }
    }

    /// EHLO and HELO, which the MX answers that the MTA has chosen.
    pub(super) async fn hello(&mut self, hello: &Hello) -> Step {
        self.transaction = Transaction::default();
        let Some(chosen) = self.chosen.clone() else {
            return Err(Farewell::Gone);
        };
        let gate = Arc::clone(&self.gate);
        match gate.hello(&chosen, hello).await {
            Ok(reply) => {
                let reply = self.session.mx_greeted(hello, reply);
                self.reply(&reply);
                Ok(())
            }
            Err(failure) => Err(self.unreached(&chosen, &failure)),
        }
    }

    /// 421: the MTA is to try its next MX.
    pub(super) fn unreached(&mut self, chosen: &Chosen, failure: &Failure) -> Farewell {
        let peer = chosen.stranger();
        let event = Event::Attempt(&peer, Some(failure));
        self.gate.observer.record(event);
        self.reply(&failure.farewell());
        Farewell::Said
    }

    fn wrong_port(&self, target: SocketAddr) {
        tracing::warn!(client = %self.client.ip(), %target, "not the port of mail ([mx] port), closing");
        self.refused(Refusal::WrongPort);
    }

    /// Passes a connection through that has been made.
    async fn pass_through(&mut self, chosen: &Chosen) -> Step {
        let event = Event::PassedThrough(self.ingress, Untouched::Bypass);
        self.gate.observer.record(event);
        if let Some(mx) = chosen.take_wire() {
            self.wire.splice(mx).await;
        }
        Err(Farewell::Gone)
    }

    /// The SOCKS dialogue, and a connection to the first address that can be connected to.
    async fn by_socks(&mut self, users: &Users, bypass: &[IpNet]) -> Step {
        self.log_in(users).await?;
        let target = match self.parsed(socks::request).await? {
            Ok(target) => target,
            Err(reply) => {
                self.refused(Refusal::BadRequest);
                return Err(self.not_connected(reply));
            }
        };
        let (addresses, port, named) = match target {
            Target::Address(address) => (vec![address.ip()], address.port(), None),
            Target::Host(host, port) => (self.addresses(&host).await, port, Some(host)),
        };
        let room = self.gate.patience();
        let mut reply = socks::Reply::HostUnreachable;
        for address in addresses {
            let target = SocketAddr::new(address, port);
            let chosen = Chosen::new(target, named.clone(), self.client.ip());
            let care = care(bypass, target);
            let reached = self.reach(&chosen, target, care, room).await;
            if let Err(why) = reached {
                reply = why;
                continue;
            }
            self.confirm(&chosen).await?;
            return match care {
                Care::Untouched => self.pass_through(&chosen).await,
                Care::Judged => self.greet(chosen).await,
            };
        }
        Err(self.not_connected(reply))
    }

    /// Where a host is that the MTA has named. In SOCKS there is one word for all that can go wrong; the log says
    /// what did.
    async fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        match self.gate.discover.addresses(host).await {
            Addresses::Known(addresses) => return addresses,
            Addresses::None => tracing::info!(%host, "the MTA asks for a host without address"),
            Addresses::LookupFailed(error) => {
                tracing::info!(%host, %error, "the address of a host that the MTA asks for cannot be looked up");
            }
        }
        Vec::new()
    }

    /// Connects, but says nothing yet.
    async fn reach(
        &mut self,
        chosen: &Chosen,
        target: SocketAddr,
        care: Care,
        room: Instant,
    ) -> Result<(), socks::Reply> {
        let gate = Arc::clone(&self.gate);
        let dialled = match care {
            Care::Untouched => gate.dial_listed(chosen).await,
            Care::Judged if target.port() == gate.settings.mx.port => gate.dial(chosen, room).await,
            Care::Judged => {
                self.wrong_port(target);
                return Err(socks::Reply::NotAllowed);
            }
        };
        dialled.map_err(|failure| {
            let event = Event::Attempt(&chosen.stranger(), Some(&failure));
            gate.observer.record(event);
            reply_to(&failure)
        })
    }

    /// Tells the client that it is connected.
    async fn confirm(&mut self, chosen: &Chosen) -> Step {
        let bound = chosen.bound().unwrap_or(NOWHERE);
        self.output.extend(socks::Reply::Succeeded.octets(bound));
        self.flush().await
    }

    fn not_connected(&mut self, reply: socks::Reply) -> Farewell {
        self.output.extend(reply.octets(NOWHERE));
        Farewell::Said
    }

    /// RFC 1928 §3 and RFC 1929: nobody beyond loopback connects without a password.
    async fn log_in(&mut self, users: &Users) -> Step {
        let mut methods = Vec::new();
        if self.client.ip().is_loopback() {
            methods.push(Method::None);
        }
        if !users.is_empty() {
            methods.push(Method::Password);
        }
        let method = self
            .parsed(|input| socks::negotiate(input, &methods))
            .await?;
        self.output.extend(method.chosen());
        match method {
            Method::None => Ok(()),
            Method::Unacceptable => Err(self.unauthenticated()),
            Method::Password => {
                self.flush().await?;
                let known = |input: &[u8]| {
                    let parsed = socks::login(input)?;
                    Ok(parsed.map(|(login, length)| (users.knows(&login), length)))
                };
                let known = self.parsed(known).await?;
                self.output.extend(socks::login_answer(known));
                if known {
                    self.flush().await
                } else {
                    Err(self.unauthenticated())
                }
            }
        }
    }

    /// A client that is still in the SOCKS dialogue knows no reply of SMTP.
    fn silently(&self, end: &Farewell) -> Farewell {
        if let Farewell::Say(refusal) = end {
            self.refused(*refusal);
        }
        Farewell::Gone
    }

    fn unauthenticated(&self) -> Farewell {
        self.refused(Refusal::Unauthenticated);
        Farewell::Said
    }

    /// Reads one message of SOCKS.
    async fn parsed<T>(&mut self, parse: impl Fn(&[u8]) -> Parsed<T>) -> Result<T, Farewell> {
        self.flush().await?;
        loop {
            match parse(self.wire.buffered()) {
                Ok(Some((message, length))) => {
                    self.wire.consume(length);
                    return Ok(message);
                }
                Ok(None) => self
                    .await_input()
                    .await
                    .map_err(|end| self.silently(&end))?,
                Err(error) => {
                    tracing::info!(client = %self.client, %error, "no SOCKS client");
                    self.refused(Refusal::BadRequest);
                    return Err(Farewell::Gone);
                }
            }
        }
    }
}

/// What waxseal does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Its work.
    Judged,
    /// Nothing: the destination is in a network of `bypass`.
    Untouched,
}

fn care(bypass: &[IpNet], target: SocketAddr) -> Care {
    if bypass.iter().any(|network| network.contains(&target.ip())) {
        Care::Untouched
    } else {
        Care::Judged
    }
}

fn reply_to(failure: &Failure) -> socks::Reply {
    let Failure::Attempt { fault, .. } = failure else {
        return socks::Reply::Failed;
    };
    match fault {
        Fault::ForbiddenAddress | Fault::OwnListener => socks::Reply::NotAllowed,
        Fault::Unreachable(Unreached::Refused | Unreached::Reset) => socks::Reply::Refused,
        Fault::Unreachable(Unreached::NoNetwork) => socks::Reply::NetworkUnreachable,
        Fault::Unreachable(_) => socks::Reply::HostUnreachable,
        _ => socks::Reply::Failed,
    }
}
