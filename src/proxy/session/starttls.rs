//! STARTTLS of the MTA: with waxseal, or through it.

use super::{Driver, Farewell, Step, Transaction};
use crate::net::stream::{Socket, Wire};
use crate::net::tls;
use crate::policy::failure::Phase;
use crate::policy::outcome::{Event, Untouched};
use crate::policy::refusal::Refusal;
use crate::proxy::chosen::Chosen;
use crate::smtp::reply::Reply;

impl Driver {
    /// STARTTLS that is none of waxseal's business. Octets behind it, or behind the 220 to it, are an attack.
    pub(super) async fn pass_starttls(&mut self) -> Step {
        let mx = self.chosen.as_ref().and_then(Chosen::take_for_starttls);
        let (Some(chosen), Some(mut mx)) = (&self.chosen, mx) else {
            self.reply(&Reply::new(454, "4.7.0", "TLS not available now"));
            return Ok(());
        };
        let within = self.gate.settings.timeouts.ehlo;
        let asked = mx.command(b"STARTTLS\r\n", Phase::Starttls, within).await;
        match asked {
            Err(failure) => {
                let chosen = chosen.clone();
                Err(self.unreached(&chosen, &failure))
            }
            Ok(reply) if reply.code() != 220 => {
                chosen.put_back(mx);
                self.reply(&reply.relayed());
                Ok(())
            }
            Ok(reply) => {
                if !self.wire.buffered().is_empty() || !mx.wire.buffered().is_empty() {
                    return Err(Farewell::Say(Refusal::StarttlsInjection));
                }
                self.reply(&reply);
                self.flush().await?;
                let event = Event::PassedThrough(self.ingress, Untouched::Starttls);
                self.gate.observer.record(event);
                self.wire.splice(mx.wire).await;
                Err(Farewell::Gone)
            }
        }
    }

    /// STARTTLS of the MTA. Octets behind it are an attack (CVE-2011-0411) and end the session.
    pub(super) async fn starttls(&mut self, reply: &Reply) -> Step {
        let Some(config) = self.tls.clone() else {
            return Err(Farewell::Gone);
        };
        if !self.wire.buffered().is_empty() {
            return Err(Farewell::Say(Refusal::StarttlsInjection));
        }
        self.reply(reply);
        self.flush().await?;
        self.transaction = Transaction::default();
        let within = self.gate.settings.timeouts.tls_handshake;
        let Some(stream) = self.wire.take_plain() else {
            return Err(Farewell::Gone);
        };
        match tls::accept(&config, stream, within).await {
            Ok(stream) => {
                self.wire = Wire::new(Socket::Tls(Box::new(stream)));
                self.session.tls_started();
                Ok(())
            }
            Err(error) => {
                tracing::info!(client = %self.client.ip(), %error, "TLS handshake with the MTA failed");
                Err(Farewell::Gone)
            }
        }
    }
}
