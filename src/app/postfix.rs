//! What Postfix is told about a next hop: the gate decides as it would about mail, and the verdict is put into
//! Postfix's words. The policy table and `waxseal query` answer from here.
//!
//! A table knows the next hop and no sender, so that rules for certain senders do not count. What it has told is told
//! again for the rest of the second, and counted as if it had been decided anew; but never that mail has to wait.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Error;
use crate::cli::{QueryArgs, print};
use crate::config::Config;
use crate::mapserver::{Asked, Table};
use crate::name::Destination;
use crate::policy::decide::{Decision, Question};
use crate::policy::outcome::MapResult;
use crate::policy::postfix::{Answer, Attributes, answer};
use crate::policy::rules::{Pattern, Query, Rule};
use crate::proxy::gate::Gate;
use crate::socketmap::Key;

/// The gate in force, for the policy table.
pub(super) struct GateTable(pub(super) Arc<ArcSwap<Gate>>);

impl Table for GateTable {
    fn answer<'a>(&'a self, key: &'a str, attributes: Attributes) -> Asked<'a> {
        let gate = self.0.load();
        let question = (attributes, key.into());
        let at = gate.moment();
        if let Some((answer, decision)) = gate.answers.known(&question, at) {
            gate.count_lookups(&decision.facts, None);
            count_and_log(&decision.facts.next_hop, &decision, &answer);
            return Asked::Known(answer);
        }
        let gate = Guard::into_inner(gate);
        Asked::LookUp(Box::pin(async move {
            let told = told(&gate, key, attributes).await;
            if let Some(decision) = told.may_be_repeated() {
                let known = (Arc::clone(&told.answer), Arc::clone(decision));
                gate.answers.keep(question, at, known);
            }
            told.answer
        }))
    }
}

/// An answer, and the decision that it rests on.
#[derive(Debug)]
pub struct Told {
    /// The answer.
    pub answer: Arc<Answer>,
    /// The decision, where it took one.
    pub decision: Option<Arc<Decision>>,
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Self {
        Self {
            answer: Arc::new(answer),
            decision: None,
        }
    }
}

/// What Postfix is told about `key`.
pub async fn told(gate: &Gate, key: &str, attributes: Attributes) -> Told {
    let nothing = |why| Told::from(Answer::Nothing(why));
    match Key::parse(key) {
        Key::Destination(destination) if is_own(gate, &destination) => {
            nothing("this host itself, or its loopback")
        }
        Key::Destination(destination) => about(gate, &destination, attributes).await,
        Key::Parent => {
            nothing("a parent domain; what holds for a domain is said for the domain itself")
        }
        Key::NextHop => nothing(
            "a next hop that Postfix's own configuration has chosen; a table in front of this one can hold its policy",
        ),
        Key::Other => nothing("no domain that mail is sent to"),
        Key::NotADomain(error) => Answer::Never(format!("not a domain: {error}")).into(),
    }
}

async fn about(gate: &Gate, destination: &Destination, attributes: Attributes) -> Told {
    let decision = gate.decide(destination, None).await;
    let question = Question {
        destination,
        rule: decision.rule.as_deref(),
        facts: &decision.facts,
        port: gate.settings.mx.port,
        roots: &gate.roots,
        guard: gate.settings.guard,
    };
    let answer = answer(&question, &decision.verdict, attributes);
    count_and_log(destination, &decision, &answer);
    Told {
        answer: Arc::new(answer),
        decision: Some(decision),
    }
}

fn count_and_log(domain: &Destination, decision: &Decision, answer: &Answer) {
    decision.rule.iter().for_each(|rule| rule.hits.add());
    let result = answer.result().label();
    match answer {
        Answer::Later(why) | Answer::Never(why) => {
            tracing::warn!(%domain, result, why, "Postfix is told to keep the mail");
        }
        Answer::Policy(_) | Answer::Nothing(_) => {
            tracing::debug!(%domain, result, ?answer, "Postfix has asked");
        }
    }
}

/// Mail to this machine, such as to a content filter, crosses no network; unless a rule names it.
fn is_own(gate: &Gate, destination: &Destination) -> bool {
    let is_own = match destination {
        Destination::Domain(domain) => {
            domain.is_within("localhost") || domain.as_str() == &*gate.settings.hostname
        }
        Destination::Literal(IpAddr::V4(address)) => address.is_loopback(),
        Destination::Literal(IpAddr::V6(address)) => address.is_loopback(),
    };
    let query = Query {
        destination,
        sender: None,
        now: gate.clock.now(),
    };
    let rule = gate.rules.for_domain(&query);
    is_own && !rule.is_some_and(|rule| matches!(rule.pattern, Pattern::Exact(_)))
}

/// `waxseal query`: prints what Postfix would be told.
pub(super) async fn query(config: &Config, args: &QueryArgs) -> Result<MapResult, Error> {
    let wants = |map: &crate::mapserver::Listener| map.attributes == Attributes::Told;
    let attributes = if config.maps.iter().any(wants) {
        Attributes::Told
    } else {
        Attributes::Withheld
    };
    let told = told(&super::gate(config).await?, &args.key, attributes).await;
    print(&if args.json { told.json() } else { told.text() });
    Ok(told.answer.result())
}

impl Told {
    /// The decision that whoever asks the same now may hear the same by: what makes mail wait is found out anew.
    fn may_be_repeated(&self) -> Option<&Arc<Decision>> {
        let waits = matches!(*self.answer, Answer::Later(_) | Answer::Never(_));
        let sound = |decision: &&Arc<Decision>| !waits && !decision.facts.have_failed();
        self.decision.as_ref().filter(sound)
    }

    /// The rule in force, if there is one.
    fn rule(&self) -> Option<&Rule> {
        self.decision.as_ref()?.rule.as_deref()
    }

    /// For people: the reply, and what it rests on.
    pub fn text(&self) -> String {
        let rule = self.rule();
        let rule = rule.map_or(String::new(), |rule| format!("rule      {}\n", rule.origin));
        let (answer, why) = match &*self.answer {
            Answer::Policy(policy) => return format!("{rule}answer    OK {policy}\n"),
            Answer::Nothing(why) => ("NOTFOUND", *why),
            Answer::Later(why) => ("TEMP", why.as_str()),
            Answer::Never(why) => ("PERM", why.as_str()),
        };
        format!("{rule}answer    {answer}\nwhy       {why}\n")
    }

    /// For programs.
    pub fn json(&self) -> String {
        let (policy, why) = match &*self.answer {
            Answer::Policy(policy) => (Some(policy.as_str()), None),
            Answer::Nothing(why) => (None, Some(*why)),
            Answer::Later(why) | Answer::Never(why) => (None, Some(why.as_str())),
        };
        let json = serde_json::json!({
            "result": self.answer.result().label(),
            "policy": policy,
            "why": why,
            "rule": self.rule().map(|rule| rule.origin.to_string()),
        });
        format!("{json:#}\n")
    }
}
