//! A decision in the words of Postfix, which then connects and judges by itself.
//!
//! Postfix takes one policy for all hosts of a destination, and looks up MX and TLSA records on its own. So an answer
//! must hold for each host that Postfix may choose, and ask no less than is asked here (`standard` has its own table):
//!
//! | rule | answer |
//! | --- | --- |
//! | `none`, `may`, `encrypt`, `dane-only` | the same word; a host without DANE is Postfix's to leave out |
//! | `secure` | `secure match=.. servername=..`, with `ca_file` as `tafile=`; the word `mta-sts` becomes the MX hosts that the policy names |
//! | `fingerprint` | `fingerprint match=..`, SHA-256 of certificate or key |
//! | `mode = "observe"` | `may` (`none` stays): Postfix cannot tell and not block |
//! | `route` | `PERM`: a table cannot send mail elsewhere |
//! | any, and the MX look-up failed | `TEMP`: a failure is no absence |
//! | any that asks for something, and no host is known | `TEMP`: Postfix asks once it has found hosts, so that somebody is wrong |
//!
//! `min_version = "1.3"` is `protocols=>=TLSv1.3`, which Postfix 3.6 and later read; TLS 1.2 is left to
//! `smtp_tls_mandatory_protocols`, because an attribute would take the place of a stricter word there. Where
//! nothing is asked the answer is `NOTFOUND`, and Postfix's own `smtp_tls_security_level` counts.

use std::fmt::Write as _;

use crate::policy::decide::Question;
use crate::policy::facts::MtaSts;
use crate::policy::failure::Failure;
use crate::policy::handshake::{Fingerprint, TlsVersion};
use crate::policy::outcome::MapResult;
use crate::policy::requirement::{Mode, Roots};
use crate::policy::rules::{Level, NameMatch, Rule, ServerName};
use crate::policy::verdict::{Plan, Policy, Verdict};

mod export;
mod import;
mod protocols;
mod standard;
mod table;

pub use export::export;
pub use import::{Effect, Import, Note, import};

/// What Postfix is told about a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go by this policy: a level and its attributes.
    Policy(String),
    /// Nothing is asked, and why, for people.
    Nothing(&'static str),
    /// Keep the mail and ask again, for this reason.
    Later(String),
    /// Keep the mail until somebody has changed a configuration, for this reason.
    Never(String),
}

impl Answer {
    /// What is counted.
    pub fn result(&self) -> MapResult {
        match self {
            Self::Policy(_) => MapResult::Ok,
            Self::Nothing(_) => MapResult::NotFound,
            Self::Later(_) => MapResult::Temp,
            Self::Never(_) => MapResult::Perm,
        }
    }
}

/// Whether the attributes of an MTA-STS policy are told, for Postfix's TLS reports and its choice of MX hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Attributes {
    /// Postfix 3.9 and earlier refuse a policy that has them.
    #[default]
    Withheld,
    /// Postfix 3.10 and later take them.
    Told,
}

/// What Postfix is told where `verdict` was decided.
pub fn answer(question: &Question<'_>, verdict: &Verdict, attributes: Attributes) -> Answer {
    if let Some(rule) = question.rule
        && let Some(route) = &rule.route
    {
        return Answer::Never(format!(
            "the rule at {} sends mail for {} to {route}, which a policy table cannot; write that into transport_maps",
            rule.origin, question.destination
        ));
    }
    match verdict {
        Verdict::Stop { failure, .. } => stopped(question, failure),
        Verdict::Deliver(plan) => Asked {
            question,
            plan,
            attributes,
        }
        .answer(),
    }
}

/// Nothing is asked of the destination.
const NOTHING_ASKED: Answer = Answer::Nothing(
    "nothing is asked of this destination; Postfix goes by its smtp_tls_security_level",
);

/// There is no host to ask anything of.
fn stopped(question: &Question<'_>, failure: &Failure) -> Answer {
    let asks_nothing = question.own_policy() == Policy::Opportunistic
        && matches!(question.mta_sts(), MtaSts::Absent(_));
    match failure {
        Failure::Dns { .. } => Answer::Later(failure.to_string()),
        _ if asks_nothing || question.mode() == Mode::Observe => NOTHING_ASKED,
        _ => Answer::Later(failure.to_string()),
    }
}

/// A destination with hosts.
struct Asked<'a> {
    question: &'a Question<'a>,
    plan: &'a Plan,
    attributes: Attributes,
}

impl Asked<'_> {
    fn answer(&self) -> Answer {
        match (self.question.level(), self.question.mode()) {
            (Level::None, _) => Answer::Policy("none".to_owned()),
            (_, Mode::Observe) => Answer::Policy("may".to_owned()),
            (Level::May, _) => self.plain("may"),
            (Level::Encrypt, _) => self.plain("encrypt"),
            (Level::DaneOnly, _) => self.dane("dane-only"),
            (Level::Secure { matches, roots }, _) => self.secure(matches, roots.as_deref()),
            (Level::Fingerprint(prints), _) => self.fingerprint(prints),
            (Level::Standard(floor), _) => self.standard(*floor),
        }
    }

    /// A level that looks at no certificate: a name for SNI only where the rule has one of its own.
    fn plain(&self, level: &str) -> Answer {
        let mut line = Line::of(level);
        let rule = self.question.rule;
        if rule.is_some_and(|rule| rule.server_name != ServerName::Hostname) {
            line.put("servername", self.server_name());
        }
        line.protocols(self.question.rule);
        line.answer()
    }

    /// The name for SNI is the TLSA base domain, whatever the policy says (RFC 7672 §8.1).
    fn dane(&self, level: &str) -> Answer {
        let mut line = Line::of(level);
        line.protocols(self.question.rule);
        line.answer()
    }

    fn secure(&self, matches: &[NameMatch], roots: Option<&Roots>) -> Answer {
        let names: Vec<String> = matches.iter().flat_map(|word| self.names(word)).collect();
        if names.is_empty() {
            return self.later();
        }
        let mut line = Line::of("secure");
        line.put("match", &names.join(":"));
        line.put("servername", self.server_name());
        if let Some(roots) = roots {
            match tafile(roots) {
                Ok(path) => line.put("tafile", path),
                Err(reason) => return Answer::Never(reason),
            }
        }
        line.protocols(self.question.rule);
        line.answer()
    }

    /// One word of `match` as Postfix reads it.
    fn names(&self, word: &NameMatch) -> Vec<String> {
        let candidates = self.plan.candidates.iter();
        match word {
            NameMatch::Nexthop => vec!["nexthop".to_owned()],
            NameMatch::DotNexthop => vec!["dot-nexthop".to_owned()],
            NameMatch::Hostname => vec!["hostname".to_owned()],
            NameMatch::MtaSts => candidates
                .filter_map(|one| self.question.named_by_policy(&one.host))
                .map(ToString::to_string)
                .collect(),
            NameMatch::Name(name) => vec![name.to_string()],
            NameMatch::Below(name) => vec![format!(".{name}")],
        }
    }

    fn fingerprint(&self, prints: &[Fingerprint]) -> Answer {
        let mut line = Line::of("fingerprint");
        line.put("match", &fingerprints(prints));
        line.put("servername", self.server_name());
        line.protocols(self.question.rule);
        line.answer()
    }

    fn server_name(&self) -> &str {
        match self.question.rule.map(|rule| &rule.server_name) {
            None | Some(ServerName::Hostname) => "hostname",
            Some(ServerName::Nexthop) => "nexthop",
            Some(ServerName::Name(name)) => name.as_str(),
        }
    }

    /// No host may be used: the failure that says most.
    fn later(&self) -> Answer {
        let candidates = self.plan.candidates.iter();
        let mut failures = candidates.filter_map(|one| one.way.as_ref().err());
        let first = failures.clone().next();
        let told = failures.find(|failure| failure.is_about_policy()).or(first);
        Answer::Later(told.map_or_else(
            || format!("no host of {} may be used", self.question.destination),
            ToString::to_string,
        ))
    }
}

/// A level and its attributes.
struct Line(String);

impl Line {
    fn of(level: &str) -> Self {
        Self(level.to_owned())
    }

    fn put(&mut self, name: &str, value: &str) {
        // Writing to memory does not fail.
        let _ = write!(self.0, " {name}={value}");
    }

    /// For a value with blanks; it must hold no braces.
    fn put_braced(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, " {{ {name} = {value} }}");
    }

    fn protocols(&mut self, rule: Option<&Rule>) {
        if rule.is_some_and(|rule| rule.min_version == TlsVersion::Tls13) {
            self.put("protocols", ">=TLSv1.3");
        }
    }

    fn answer(self) -> Answer {
        Answer::Policy(self.0)
    }
}

/// The path of `ca_file`, where Postfix can read it.
fn tafile(roots: &Roots) -> Result<&str, String> {
    let path = roots.source.as_str();
    if path.contains(|c: char| c.is_whitespace() || ",{}".contains(c)) {
        let reason = "the path of `ca_file` has a character that Postfix cannot read there";
        return Err(format!("{reason}: {path}"));
    }
    Ok(path)
}

/// Any of these.
fn fingerprints(prints: &[Fingerprint]) -> String {
    let prints: Vec<String> = prints.iter().map(with_colons).collect();
    prints.join("|")
}

/// As `openssl x509 -fingerprint` prints it, and Postfix reads it.
fn with_colons(print: &Fingerprint) -> String {
    let octets: Vec<String> = print.0.iter().map(|octet| format!("{octet:02X}")).collect();
    octets.join(":")
}
