//! The decision table: `tests/data/decide.table` against the real rule loader, the gate and `policy::decide`; and
//! `tests/data/identify.table`, which goes on to `policy::identify`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use waxseal::app;
use waxseal::config::Config;
use waxseal::discover::{AddressOrder, Discover, Memory, MtaStsPolicies};
use waxseal::dns::{
    Answer, Dnssec, Exchange, Family, Found, Freshness, LookupError, Mx, Resolver, Security, Tlsa,
};
use waxseal::mtasts::{FetchError, Policy};
use waxseal::name::{Domain, Host};
use waxseal::net::https::Fetch;
use waxseal::policy::decide::Decision;
use waxseal::policy::failure::Failure;
use waxseal::policy::identify::identify;
use waxseal::policy::requirement::{Demand, Mode, Requirement, Roots};
use waxseal::policy::verdict::{Candidate, Verdict};
use waxseal::proxy::gate::Gate;
use waxseal::store::{Place, open};
use waxseal::time::{Clock, UnixTime};

use crate::support::{ca::Ca, golden};

const TABLE: &str = "decide.table";
const IDENTIFY: &str = "identify.table";

/// 2027-01-01T00:00:00Z
const NOW: UnixTime = UnixTime(1_798_761_600);

#[tokio::test]
async fn every_row_of_the_decision_table_holds() {
    compare(TABLE).await;
}

#[tokio::test]
async fn every_address_that_an_mta_chose_has_to_prove_what_the_table_says() {
    compare(IDENTIFY).await;
}

async fn compare(file: &str) {
    let mut actual = String::new();
    let table = golden::read(file);
    for block in table.split("\n\n") {
        let questions: Vec<&str> = block.lines().filter(|line| !is_verdict(line)).collect();
        let row = Row::parse(&questions);
        if !actual.is_empty() {
            actual.push('\n');
        }
        for line in questions {
            writeln!(actual, "{line}").unwrap();
        }
        if row.to.is_some() {
            actual += &row.verdict().await;
        }
    }
    golden::compare(file, &actual);
}

pub(super) fn is_verdict(line: &str) -> bool {
    line.starts_with("=>") || line.starts_with("   ")
}

/// One row as written.
#[derive(Default)]
pub(super) struct Row<'t> {
    rules: Vec<&'t str>,
    pub(super) to: Option<&'t str>,
    from: Option<&'t str>,
    facts: Vec<&'t str>,
    /// Addresses that an MTA has chosen, each perhaps with the name that it asked for.
    chosen: Vec<&'t str>,
}

impl<'t> Row<'t> {
    pub(super) fn parse(lines: &[&'t str]) -> Self {
        let mut row = Self::default();
        for line in lines.iter().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let value = value.trim();
            match key {
                "rule" => row.rules.push(value),
                "to" => row.to = Some(value),
                "from" => row.from = Some(value),
                "facts" => row.facts.push(value),
                "at" => row.chosen.push(value),
                _ => panic!("unknown key in {line:?}"),
            }
        }
        row
    }

    async fn verdict(&self) -> String {
        let gate = match self.gate().await {
            Ok(gate) => gate,
            Err(error) => return format!("=> not loaded: {error}\n"),
        };
        let destination = self.to.unwrap().parse().unwrap();
        let sender = self.from.map(|from| from.parse().unwrap());
        let decision = gate.decide(&destination, sender.as_ref()).await;
        let claims = self.chosen.iter().map(|at| render_claims(&decision, at));
        match claims.collect::<String>() {
            claims if claims.is_empty() => render(&decision),
            claims => claims,
        }
    }

    /// A gate that has loaded the rules and asks the facts.
    pub(super) async fn gate(&self) -> Result<Gate, String> {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("policies");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), Ca::new("Corporate").pem()).unwrap();
        let rules: Vec<String> = self
            .rules
            .iter()
            .map(|keys| format!("{{ {keys} }},"))
            .collect();
        let file = format!("rule = [\n{}\n]\n", rules.join("\n"));
        std::fs::write(folder.join("rules.toml"), file).unwrap();
        let settings =
            "[dns]\nservers = ['127.0.0.1:53']\ndnssec = 'off'\n[store]\npath = ':memory:'\n";
        let config = Config::parse(settings, &home.path().join("waxseal.toml")).unwrap();
        let mut gate = app::gate(&config).await.map_err(|error| {
            let text = error.to_string();
            text.replace(&format!("{}/", folder.display()), "")
        })?;
        let resolver = Arc::new(self.dns());
        let policies = MtaStsPolicies {
            resolver: Arc::clone(&resolver) as _,
            fetch: Arc::new(WebServer(resolver.policy.clone())),
            memory: Memory::new(open(Place::Memory, Arc::new(NewYear)).await.unwrap()),
            clock: Arc::new(NewYear),
            observer: Arc::clone(&gate.observer),
        };
        gate.discover = Discover::new(resolver, AddressOrder::Ipv6First, std::time::Duration::ZERO)
            .with_policies(policies);
        gate.clock = Arc::new(NewYear);
        Ok(gate)
    }

    fn dns(&self) -> TableDns {
        let mut dns = TableDns::default();
        self.facts.iter().for_each(|fact| dns.learn(fact));
        let mut of_dns = self.facts.iter().filter(|fact| !fact.starts_with("sts"));
        let to = self.to.unwrap();
        if of_dns.next().is_none() && to.parse::<Domain>().is_ok() {
            dns.learn(&format!("10 mx.{to} 192.0.2.1"));
        }
        dns
    }
}

/// The clock of the table.
struct NewYear;

impl Clock for NewYear {
    fn now(&self) -> UnixTime {
        NOW
    }
}

/// The web server of every policy domain, as the rows tell it.
struct WebServer(Option<String>);

impl Fetch for WebServer {
    fn policy<'a>(
        &'a self,
        _: &'a Domain,
    ) -> BoxFuture<'a, Result<(Policy, Arc<str>), FetchError>> {
        let answer = match &self.0 {
            None => Err(FetchError::Status(404)),
            Some(text) => Ok((text.parse().unwrap(), text.as_str().into())),
        };
        Box::pin(ready(answer))
    }
}

/// DNS as the rows tell it. A name that nobody calls signed is not.
#[derive(Default)]
struct TableDns {
    mx: Option<Result<Found<Mx>, LookupError>>,
    mx_expands: Option<Host>,
    addresses: HashMap<String, Result<Found<IpAddr>, LookupError>>,
    expands: HashMap<String, Host>,
    tlsa: HashMap<String, Result<Found<Tlsa>, LookupError>>,
    signed: HashSet<String>,
    without_dnssec: bool,
    record: Option<Result<Found<Vec<u8>>, LookupError>>,
    policy: Option<String>,
}

impl TableDns {
    fn learn(&mut self, fact: &str) {
        let words: Vec<&str> = fact.split(' ').collect();
        match words.as_slice() {
            ["null-mx"] => self.mx = Some(Ok(Found::Records(vec![mx(0, Exchange::Null)]))),
            ["unusable-mx"] => self.mx = Some(Ok(Found::Records(vec![mx(0, Exchange::Unusable)]))),
            ["no-such-domain"] => self.mx = Some(Ok(Found::NxDomain)),
            ["no-dnssec"] => self.without_dnssec = true,
            ["sts-failed", error] => self.record = Some(Err(lookup_error(error))),
            ["sts-not-found"] => self.record = Some(Ok(Found::Records(vec![RECORD.into()]))),
            ["sts", mode, hosts @ ..] => {
                self.record = Some(Ok(Found::Records(vec![RECORD.into()])));
                self.policy = Some(policy(mode, hosts));
            }
            ["mx-failed", error] => self.mx = Some(Err(lookup_error(error))),
            ["mx-expands", target] => self.mx_expands = Some(target.parse().unwrap()),
            ["signed", names @ ..] => self.signed.extend(names.iter().map(ToString::to_string)),
            [host, "expands", target] => {
                self.expands
                    .insert((*host).to_owned(), target.parse().unwrap());
            }
            [base, "tlsa", record @ ..] => self.learn_tlsa(base, record),
            [base, "tlsa-failed", error] => {
                self.tlsa
                    .insert((*base).to_owned(), Err(lookup_error(error)));
            }
            [host, rest @ ..] => match host.parse() {
                Ok(preference) => self.learn_mx(preference, rest),
                Err(_) => self.learn_address(host, rest),
            },
            [] => unreachable!("a split yields a word"),
        }
    }

    fn learn_mx(&mut self, preference: u16, words: &[&str]) {
        let known = self
            .mx
            .get_or_insert_with(|| Ok(Found::Records(Vec::new())));
        let Ok(Found::Records(records)) = known else {
            panic!("MX records beside {known:?}")
        };
        records.push(mx(preference, Exchange::Host(words[0].parse().unwrap())));
        self.learn_address(words[0], &words[1..]);
    }

    fn learn_address(&mut self, host: &str, words: &[&str]) {
        let answer = match words {
            ["no-address"] => Ok(Found::NoData),
            ["address-failed", error] => Err(lookup_error(error)),
            addresses => Ok(Found::Records(
                addresses.iter().map(|a| a.parse().unwrap()).collect(),
            )),
        };
        let host = host.parse::<Host>().unwrap();
        self.addresses.insert(host.to_string(), answer);
    }

    /// Usage, selector and matching type; the data is one octet repeated to the length that it must have.
    fn learn_tlsa(&mut self, base: &str, words: &[&str]) {
        let numbers: Vec<u8> = words.iter().map(|word| word.parse().unwrap()).collect();
        let length = if numbers[2] == 2 { 64 } else { 32 };
        let record = Tlsa {
            usage: numbers[0],
            selector: numbers[1],
            matching: numbers[2],
            data: vec![0xab; length],
        };
        let known = self.tlsa.entry(base.to_owned());
        match known.or_insert_with(|| Ok(Found::Records(Vec::new()))) {
            Ok(Found::Records(records)) => records.push(record),
            other => panic!("TLSA records beside {other:?}"),
        }
    }

    fn answer<T>(
        &self,
        signed: &str,
        expanded: Option<Host>,
        found: Result<Found<T>, LookupError>,
    ) -> Result<Answer<T>, LookupError> {
        let security = if self.signed.contains(signed) {
            Security::Secure
        } else {
            Security::Insecure
        };
        Ok(Answer {
            security,
            expanded,
            found: found?,
        })
    }
}

const RECORD: &str = "v=STSv1; id=1;";

fn policy(mode: &str, hosts: &[&str]) -> String {
    let head = format!("version: STSv1\nmode: {mode}\nmax_age: 86400\n");
    hosts
        .iter()
        .fold(head, |text, host| text + &format!("mx: {host}\n"))
}

fn mx(preference: u16, exchange: Exchange) -> Mx {
    Mx {
        preference,
        exchange,
    }
}

fn lookup_error(word: &str) -> LookupError {
    match word {
        "servfail" => LookupError::ServFail,
        "refused" => LookupError::Refused,
        "timeout" => LookupError::Timeout,
        "broken" => LookupError::Broken,
        "bogus" => LookupError::Bogus,
        "waiting" => LookupError::NoDnssec,
        _ => panic!("unknown look-up error {word}"),
    }
}

impl Resolver for TableDns {
    fn mx<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        let found = self.mx.clone().unwrap_or(Ok(Found::NoData));
        Box::pin(ready(self.answer("mx", self.mx_expands.clone(), found)))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a Host,
        family: Family,
    ) -> BoxFuture<'a, Result<Answer<IpAddr>, LookupError>> {
        let of_family = |address: &IpAddr| address.is_ipv6() == (family == Family::Ipv6);
        let found = match self.addresses.get(host.as_str()) {
            None => panic!("the row knows nothing of {host}"),
            Some(Ok(Found::Records(all))) => Ok(Found::Records(
                all.iter().copied().filter(of_family).collect(),
            )),
            Some(other) => other.clone(),
        };
        let expanded = self.expands.get(host.as_str()).cloned();
        // The end of the aliases has to be signed, and so has the beginning.
        let end = expanded.as_ref().unwrap_or(host).as_str();
        let signed = if self.signed.contains(host.as_str()) {
            end
        } else {
            "not"
        };
        Box::pin(ready(self.answer(signed, expanded.clone(), found)))
    }

    fn tlsa<'a>(
        &'a self,
        base: &'a Host,
        port: u16,
    ) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        let owner = format!("_{port}._tcp.{base}");
        let found = self.tlsa.get(&owner).cloned();
        Box::pin(ready(self.answer(
            base.as_str(),
            None,
            found.unwrap_or(Ok(Found::NxDomain)),
        )))
    }

    fn txt<'a>(
        &'a self,
        _: &'a str,
        _: Freshness,
    ) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>> {
        let found = self.record.clone().unwrap_or(Ok(Found::NxDomain));
        Box::pin(ready(self.answer("txt", None, found)))
    }

    fn alias<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Answer<Host>, LookupError>> {
        let found = match self.expands.get(host.as_str()) {
            Some(target) => Found::Records(vec![target.clone()]),
            None => Found::NoData,
        };
        Box::pin(ready(self.answer(host.as_str(), None, Ok(found))))
    }

    fn dnssec(&self) -> Dnssec {
        if self.without_dnssec {
            Dnssec::Off
        } else {
            Dnssec::Works
        }
    }
}

fn render(decision: &Decision) -> String {
    let rule = decision
        .rule
        .as_ref()
        .map_or("without a rule".to_owned(), |rule| {
            // The file begins with `rule = [`.
            format!("rule {}", rule.origin.line - 1)
        });
    match &decision.verdict {
        Verdict::Stop { failure, policy } => {
            format!(
                "=> {} (policy {}, {rule})\n",
                reply(failure),
                policy.label()
            )
        }
        Verdict::Deliver(plan) => {
            let mode = decision
                .rule
                .as_ref()
                .map_or(Mode::Enforce, |rule| rule.mode);
            let word = match mode {
                Mode::Enforce => "",
                Mode::Observe => ", observe",
            };
            let head = format!("=> port {} ({rule}{word})\n", plan.port);
            plan.candidates
                .iter()
                .fold(head, |text, one| text + &render_candidate(one, mode))
        }
    }
}

/// What the server at an address has to prove, if an MTA has chosen it.
fn render_claims(decision: &Decision, at: &str) -> String {
    let Verdict::Deliver(plan) = &decision.verdict else {
        panic!("nothing is dialled: {decision:?}")
    };
    let (address, named) = at.split_once(' ').unwrap_or((at, ""));
    let named: Option<Host> = named
        .strip_prefix("by name ")
        .map(|name| name.parse().unwrap());
    let address = address.parse().unwrap();
    match identify(plan, &decision.facts, address, named.as_ref()) {
        Err((policy, failure)) => format!("=> {at}: {} ({})\n", reply(&failure), policy.label()),
        Ok(claims) => claims.iter().fold(format!("=> {at}\n"), |text, claim| {
            let Requirement { policy, .. } = *claim.requirement;
            let asked = render_requirement(&claim.requirement);
            text + &format!("   {} - {asked} ({})\n", claim.host, policy.label())
        }),
    }
}

fn render_candidate(candidate: &Candidate, mode: Mode) -> String {
    let Candidate {
        host,
        preference,
        policy,
        way,
    } = candidate;
    let way = match way {
        Err(failure) => format!("not tried: {}", reply(failure)),
        Ok(way) => {
            assert_eq!(way.requirement.mode, mode);
            assert_eq!(way.requirement.policy, *policy);
            let addresses: Vec<_> = way.addresses.iter().map(IpAddr::to_string).collect();
            format!(
                "{} - {}",
                addresses.join(" "),
                render_requirement(&way.requirement)
            )
        }
    };
    format!("   {preference} {host} {way} ({})\n", policy.label())
}

fn render_requirement(requirement: &Requirement) -> String {
    let demand = render_demand(&requirement.demand);
    if requirement.demand == Demand::Plaintext {
        return demand;
    }
    let sni = requirement
        .server_name
        .as_ref()
        .map_or("no SNI".to_owned(), |name| format!("SNI {name}"));
    let tested = requirement.tested.as_ref().map_or(String::new(), |demand| {
        format!(", tested: {}", render_demand(demand))
    });
    format!(
        "{demand}, {} or newer, {sni}{tested}",
        requirement.min_version
    )
}

fn render_demand(demand: &Demand) -> String {
    match demand {
        Demand::Plaintext => "plaintext".to_owned(),
        Demand::Opportunistic => "TLS if it works".to_owned(),
        Demand::Encryption => "TLS".to_owned(),
        Demand::Pkix { references, roots } => {
            let names: Vec<_> = references.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "nobody".to_owned()
            } else {
                names.join(" or ")
            };
            format!("TLS, certificate for {names} by {}", source(roots))
        }
        Demand::Dane { set, references } => {
            let names: Vec<_> = references.iter().map(ToString::to_string).collect();
            format!("TLS, DANE by {} for {}", set.owner(), names.join(" or "))
        }
        Demand::Fingerprint(prints) => {
            let prints: Vec<_> = prints
                .iter()
                .map(|print| print.to_string()[..15].to_owned())
                .collect();
            format!("TLS, fingerprint {}", prints.join(" or "))
        }
        Demand::Unsatisfiable(failure) => format!("TLS if it works, would be {}", reply(failure)),
    }
}

fn source(roots: &Roots) -> &str {
    roots.source.rsplit('/').next().unwrap()
}

fn reply(failure: &Failure) -> String {
    let mut wire = Vec::new();
    failure.reply().write_to(&mut wire);
    String::from_utf8(wire).unwrap().trim_end().to_owned()
}
