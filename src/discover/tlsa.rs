//! The TLSA records of a host (RFC 7672 §2.2).
//!
//! Addresses come first: where they are not signed the TLSA records cannot be either, and are not asked
//! for, which spares the mail to the many zones whose name servers answer such questions with an error.
//! A host that is an alias has two possible TLSA base domains: the name at the end of its aliases, if all
//! of them are signed, and then its own. Those in between are never asked.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Discover, Question};
use crate::dane::TlsaSet;
use crate::dns::{Answer, Dnssec, Found, LookupError, Security};
use crate::name::Host;
use crate::policy::facts::{Dane, NoDane};

/// What the addresses of a host say about its TLSA base domain.
enum Base {
    /// These, in this order.
    Domains(Vec<Host>),
    /// It has none.
    None(NoDane),
    /// Only the alias itself may be signed: it has to be asked for.
    OfAlias,
}

impl Discover {
    /// The DANE facts of `host`, whose addresses were looked up.
    pub(super) async fn dane(
        &self,
        host: &Host,
        addresses: &[Result<Answer<IpAddr>, LookupError>],
        port: u16,
    ) -> Dane {
        if self.resolver.dnssec() == Dnssec::Off {
            return Dane::Absent(NoDane::NoDnssec);
        }
        match base(host, addresses) {
            Base::None(why) => Dane::Absent(why),
            Base::Domains(bases) => self.tlsa_of(&bases, port).await,
            // RFC 7672 §2.2.2: the name itself may be signed where what it stands for is not.
            Base::OfAlias => match self.alias_of(host).await {
                Err(error) => Dane::LookupFailed {
                    question: format!("CNAME of {host}"),
                    error,
                },
                Ok(alias) => match alias.secure() {
                    Some(_) => self.tlsa_of(std::slice::from_ref(host), port).await,
                    None => Dane::Absent(NoDane::InsecureHost),
                },
            },
        }
    }

    async fn alias_of(&self, host: &Host) -> Result<Answer<Host>, LookupError> {
        let question = Question::Alias(host.clone());
        self.ask(question, self.resolver.alias(host)).await
    }

    /// The records of the first base domain that has any. An error ends the search: what it hides might
    /// have been the answer.
    async fn tlsa_of(&self, bases: &[Host], port: u16) -> Dane {
        for base in bases {
            let question = Question::Tlsa(base.clone(), port);
            match self.ask(question, self.resolver.tlsa(base, port)).await {
                Err(error) => {
                    return Dane::LookupFailed {
                        question: format!("TLSA of _{port}._tcp.{base}"),
                        error,
                    };
                }
                Ok(answer) => {
                    if let Some(records) = answer.secure() {
                        let set = TlsaSet::new(base.clone(), port, records);
                        return Dane::Published(Arc::new(set));
                    }
                }
            }
        }
        Dane::Absent(NoDane::NoRecords)
    }
}

/// A family that failed says nothing where the other one answered.
fn base(host: &Host, addresses: &[Result<Answer<IpAddr>, LookupError>]) -> Base {
    let known: Vec<&Answer<IpAddr>> = addresses
        .iter()
        .flatten()
        .filter(|answer| matches!(&answer.found, Found::Records(records) if !records.is_empty()))
        .collect();
    let signed = known
        .iter()
        .find(|answer| answer.security == Security::Secure);
    match signed {
        _ if known.is_empty() => Base::None(NoDane::NoAddress),
        Some(answer) => {
            let expanded = answer.expanded.clone().filter(|name| name != host);
            Base::Domains(expanded.into_iter().chain([host.clone()]).collect())
        }
        None if known.iter().any(|answer| answer.expanded.is_some()) => Base::OfAlias,
        None => Base::None(NoDane::InsecureHost),
    }
}
