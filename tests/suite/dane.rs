//! DANE from the zone to the reply at the MTA: `tests/data/dane.table`, whose head tells how a row is written, and
//! `tests/data/dnssec.table` for what only signatures can show.

mod names;

use std::fmt::Write as _;

use hickory_resolver::proto::rr::RecordType;
use tempfile::NamedTempFile;
use waxseal::x509;

use crate::support::ca::{Ca, Identity, Leaf, Period, Signer};
use crate::support::golden;
use crate::support::hex;
use crate::support::house::{House, Setup};
use crate::support::mx::{Mx, Script, StartTls, Tls};
use crate::support::net::loopback;
use crate::support::tally::Tally;
use crate::support::zone::{Denial, Dns, Fault, Flaw, Tree};

const TABLE: &str = "dane.table";
const SIGNED: &str = "dnssec.table";

/// Whose word it is that the zones of a row are signed.
#[derive(Clone, Copy)]
enum By {
    /// The AD bit of the name server.
    Ad,
    /// waxseal's own, by signatures made for the row.
    Signatures,
}

#[tokio::test]
async fn mail_meets_dane_as_the_table_says_by_the_word_of_a_name_server() {
    golden::compare(TABLE, &table(TABLE, By::Ad).await);
}

#[tokio::test]
async fn mail_meets_dane_as_the_table_says_by_signatures() {
    golden::compare(TABLE, &table(TABLE, By::Signatures).await);
}

#[tokio::test]
async fn mail_meets_every_kind_of_signed_zone_as_the_table_says() {
    golden::compare(SIGNED, &table(SIGNED, By::Signatures).await);
}

async fn table(file: &str, by: By) -> String {
    let mut actual = String::new();
    for block in golden::read(file).split("\n\n") {
        let question: Vec<&str> = block.lines().filter(|line| !is_verdict(line)).collect();
        if !actual.is_empty() {
            actual.push('\n');
        }
        for line in &question {
            writeln!(actual, "{line}").unwrap();
        }
        if question.iter().any(|line| line.starts_with("zone ")) {
            actual += &Row::parse(&question).fate(by).await;
        }
    }
    actual
}

fn is_verdict(line: &str) -> bool {
    line.starts_with("=>") || line.starts_with("   ")
}

/// One row as written.
#[derive(Default)]
struct Row<'t> {
    zone: Vec<&'t str>,
    signed: Vec<&'t str>,
    faults: Vec<&'t str>,
    kinds: Vec<&'t str>,
    mx: [&'t str; 2],
    rule: Option<&'t str>,
}

impl<'t> Row<'t> {
    fn parse(lines: &[&'t str]) -> Self {
        let mut row = Self {
            mx: ["good", "good"],
            ..Self::default()
        };
        for line in lines.iter().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            match key {
                "zone" => row.zone.push(value),
                "signed" => row.signed.extend(value.split(' ')),
                "fails" => row.faults.push(value),
                "kind" => row.kinds.push(value),
                "mx1" => row.mx[0] = value,
                "mx2" => row.mx[1] = value,
                "rule" => row.rule = Some(value),
                _ => panic!("unknown key in {line:?}"),
            }
        }
        row
    }

    /// What becomes of one message: the reply, the connections that each MX saw, and what was counted.
    async fn fate(&self, by: By) -> String {
        let ca = Ca::new("Test CA");
        let ips = [loopback(), loopback()];
        let shows = [
            show(&ca, "mx1.a.test", self.mx[0]),
            show(&ca, "mx2.a.test", self.mx[1]),
        ];
        let words = Words::new(&ca, &ips, &shows);
        let [one, two] = shows.map(|(script, _)| script);
        let mx = Mx::together([(ips[0].as_str(), one), (ips[1].as_str(), two)]).await;
        let port = mx[0].port();
        let (dns, anchor) = self.dns(&words, port, by).await;
        let house = self.house(&dns, anchor.as_ref(), port).await;
        let before = Tally::of(&house).await;
        let mut mta = house.smtp_client().await;
        let body = b"Subject: wax\r\n\r\nhello\r\n";
        let sent = mta.deliver("s@b.test", &["r@a.test"], body).await;
        mta.quit().await;
        let reply = sent.end.last().unwrap_or(&sent.rcpt[0]).to_string();
        let moved = before.since(&house).await;
        let reply = words.hide(&reply, port);
        let [one, two] = mx.map(|mx| mx.connections());
        let moved = match moved.as_str() {
            "" => String::new(),
            moved => format!("  {moved}\n"),
        };
        format!("=> {reply} ({one} {two})\n{moved}")
    }

    /// The name server of the row, and the trust anchor of its signatures.
    async fn dns(&self, words: &Words, port: u16, by: By) -> (Dns, Option<NamedTempFile>) {
        let zone: Vec<String> = self.zone.iter().map(|line| words.put(line, port)).collect();
        let (dns, anchor) = match by {
            By::Ad => (self.believed(&zone).await, None),
            By::Signatures => {
                let tree = self.signed(&zone);
                let anchor = NamedTempFile::new().unwrap();
                std::fs::write(&anchor, tree.anchor()).unwrap();
                (Dns::signed(tree).await, Some(anchor))
            }
        };
        for fault in &self.faults {
            let fault: Vec<String> = fault.split(' ').map(|word| words.put(word, port)).collect();
            let kind = fault[1].parse::<RecordType>().unwrap();
            dns.fail_type(&fault[0], kind, fault_of(&fault[2]));
        }
        (dns, anchor)
    }

    async fn believed(&self, zone: &[String]) -> Dns {
        let dns = Dns::start(&zone.join("\n")).await;
        dns.secure_name(".");
        self.signed.iter().for_each(|name| dns.secure(name));
        dns
    }

    /// Three zones, those that are called signed with signatures.
    fn signed(&self, zone: &[String]) -> Tree {
        ["a.test", "b.test", "c.test"]
            .into_iter()
            .fold(Tree::new(), |tree, apex| {
                let owner = |line: &str| line.split(' ').next().unwrap().to_owned();
                let of_it = |line: &&String| {
                    let owner = owner(line);
                    owner == apex || owner.ends_with(&format!(".{apex}"))
                };
                let lines: Vec<&str> = zone.iter().filter(of_it).map(String::as_str).collect();
                let (denial, flaw) = self.kind(apex);
                tree.with(apex, &lines.join("\n"), denial, flaw)
            })
    }

    fn kind(&self, apex: &str) -> (Denial, Flaw) {
        let sound = if self.signed.contains(&apex) {
            Flaw::None
        } else {
            Flaw::Unsigned
        };
        let kinds = self.kinds.iter().filter_map(|kind| kind.split_once(' '));
        let mut kinds = kinds.filter(|(zone, _)| *zone == apex);
        match kinds.next() {
            None => (Denial::Nsec, sound),
            Some((_, "nsec3")) => (Denial::Nsec3, sound),
            Some((_, "optout")) => (Denial::OptOut, sound),
            Some((_, flaw)) => (Denial::Nsec, flaw_of(flaw)),
        }
    }

    async fn house(&self, dns: &Dns, anchor: Option<&NamedTempFile>, port: u16) -> House {
        let dnssec = match anchor {
            None => "dnssec = 'trust-ad'".to_owned(),
            Some(file) => format!(
                "dnssec = 'validate', trust_anchor = '{}'",
                file.path().display()
            ),
        };
        let rules = match self.rule {
            Some(rule) => format!("rule = [{{ domains = ['a.test'], {rule} }}]"),
            None => String::new(),
        };
        // Long where nothing is meant to time out: the machine may be busy.
        let fails = |word| self.faults.iter().any(|fault| fault.ends_with(word));
        let timeout = if fails("timeout") { "200ms" } else { "10s" };
        let setup = Setup {
            config: &format!("dns = {{ {dnssec}, timeout = '{timeout}' }}"),
            rules: &rules,
            ..Setup::default()
        };
        House::start(dns, port, setup).await
    }
}

fn fault_of(word: &str) -> Fault {
    match word {
        "bogus" => Fault::Bogus,
        "servfail" => Fault::ServFail,
        "refused" => Fault::Refused,
        "timeout" => Fault::Drop,
        _ => panic!("unknown fault {word}"),
    }
}

fn flaw_of(word: &str) -> Flaw {
    match word {
        "unknown-algorithm" => Flaw::UnknownAlgorithm,
        "island" => Flaw::Island,
        "expired" => Flaw::Expired,
        "not-yet-valid" => Flaw::NotYetValid,
        "wrong-ds" => Flaw::WrongDs,
        "not-signed-after-all" => Flaw::NotSignedAfterAll,
        "tampered" => Flaw::Tampered,
        _ => panic!("unknown kind of zone {word}"),
    }
}

/// How an MX of a row behaves, and the certificate that it has.
fn show(ca: &Ca, host: &str, kind: &str) -> (Script, Option<Identity>) {
    let leaf = Leaf::for_host(host);
    let leaf = match kind {
        "no-tls" => return (Script::default(), None),
        "good" | "stripped" | "version-1" => leaf,
        "root-sent" => Leaf {
            signer: Signer::CaSent,
            ..leaf
        },
        "intermediate" => Leaf {
            signer: Signer::Intermediate,
            ..leaf
        },
        "self-signed" => Leaf {
            signer: Signer::Itself,
            ..leaf
        },
        "stranger" => Leaf {
            signer: Signer::Stranger,
            ..leaf
        },
        "expired" => Leaf {
            period: Period::Expired,
            ..leaf
        },
        "expired-root-sent" => Leaf {
            period: Period::Expired,
            signer: Signer::CaSent,
            ..leaf
        },
        "other-name" => Leaf::for_host("elsewhere.test"),
        "other-name-root-sent" => Leaf {
            signer: Signer::CaSent,
            ..Leaf::for_host("elsewhere.test")
        },
        "next-hop-root-sent" => Leaf {
            signer: Signer::CaSent,
            ..Leaf::for_host("a.test")
        },
        "base-root-sent" => Leaf {
            signer: Signer::CaSent,
            ..Leaf::for_host("host.c.test")
        },
        _ => panic!("unknown kind of MX {kind}"),
    };
    let identity = match kind {
        "version-1" => Identity::of_version_1(host),
        _ => ca.issue(leaf),
    };
    let tls = Tls::with(identity.clone());
    let starttls = match kind {
        "stripped" => StartTls::Stripped(tls),
        _ => StartTls::Offered(tls),
    };
    let script = Script {
        starttls,
        ..Script::default()
    };
    (script, Some(identity))
}

/// The words of the table that stand for something of this run.
struct Words(Vec<(String, String)>);

impl Words {
    fn new(ca: &Ca, ips: &[String; 2], shows: &[(Script, Option<Identity>); 2]) -> Self {
        let root = ca.certificate();
        let key = x509::public_key(&root).unwrap();
        let mut words = vec![
            ("TA-FULL".to_owned(), format!("2 0 0 {}", hex(&root))),
            ("TA-KEY".to_owned(), format!("2 1 0 {}", hex(key))),
            ("TA-INTERMEDIATE".to_owned(), ca.dane_ta_intermediate()),
            ("TA".to_owned(), ca.dane_ta()),
            ("WRONG512".to_owned(), format!("3 1 2 {}", "00".repeat(64))),
            ("WRONG".to_owned(), format!("3 1 1 {}", "00".repeat(32))),
        ];
        for (at, (_, identity)) in shows.iter().enumerate() {
            let number = at + 1;
            words.push((format!("IP{number}"), ips[at].clone()));
            if let Some(identity) = identity {
                words.push((
                    format!("CERT{number}"),
                    format!("3 0 1 {}", identity.sha256()),
                ));
                words.push((format!("KEY{number}"), identity.dane_ee()));
            }
        }
        Self(words)
    }

    /// The line with what the words stand for.
    fn put(&self, line: &str, port: u16) -> String {
        let line = line.replace("_25.", &format!("_{port}."));
        let words: Vec<&str> = line.split(' ').map(|word| self.meaning(word)).collect();
        words.join(" ")
    }

    fn meaning<'w>(&'w self, word: &'w str) -> &'w str {
        let known = self.0.iter().find(|(name, _)| name == word);
        known.map_or(word, |(_, meaning)| meaning)
    }

    /// A reply without what differs from run to run.
    fn hide(&self, reply: &str, port: u16) -> String {
        let mut reply = reply.replace(&format!("_{port}."), "_25.");
        for (name, meaning) in &self.0 {
            // A record is told by its first octets.
            let told: String = match meaning.rsplit_once(' ') {
                Some((head, data)) => format!("{head} {}", &data[..data.len().min(16)]),
                None => meaning.clone(),
            };
            reply = reply.replace(&told, name);
        }
        reply
    }
}
