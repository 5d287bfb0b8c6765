//! waxseal's own validation of signed zones, each kind of presence, absence and flaw.
//!
//! What only real name servers do is in `tests/dnssec_lab.rs`.

use hickory_resolver::proto::rr::RecordType;
use waxseal::dns::{Found, LookupError, Security};
use waxseal::net::resolver::{Anchor, DnsResolver, DnsSettings, DnssecMode, InForce};

use super::{probed, settings};
use crate::support::zone::{Denial, Dns, Fault, Flaw, Tree};

/// A zone with everything, for the apex in it.
const ZONE: &str = "
    @ MX 10 mx.@
    mx.@ A 192.0.2.1
    _25._tcp.mx.@ TLSA 3 1 1 ab
    *._tcp.wild.@ TLSA 3 1 1 ab
    *.deep.wild.@ A 192.0.2.2
    closer.deep.wild.@ A 192.0.2.4
    _25._tcp.alias.@ CNAME tlsa.@
    tlsa.@ TLSA 3 1 1 ab
    to-good.@ CNAME mx.good.test
    to-plain.@ CNAME mx.plain.test
    to-nothing.@ CNAME nothing.@
    to-nodata.@ CNAME tlsa.@
    there-and-back.@ CNAME back.plain.test
    circle.@ CNAME circle2.@
    circle2.@ CNAME circle.@
    moved.@ DNAME new.@
    host.new.@ A 192.0.2.3
    away.@ DNAME plain.test
    back.@ CNAME mx.good.test
";

fn zone(apex: &str) -> String {
    ZONE.replace('@', apex).replace("mx.mx.", "mx.")
}

fn tree() -> Tree {
    let kinds = [
        ("good.test", Denial::Nsec, Flaw::None),
        ("nsec3.test", Denial::Nsec3, Flaw::None),
        ("optout.test", Denial::OptOut, Flaw::None),
        ("plain.test", Denial::Nsec, Flaw::Unsigned),
        ("island.test", Denial::Nsec, Flaw::Island),
        ("unknown.test", Denial::Nsec, Flaw::UnknownAlgorithm),
        ("wrong-ds.test", Denial::Nsec, Flaw::WrongDs),
        ("not-signed.test", Denial::Nsec, Flaw::NotSignedAfterAll),
        ("expired.test", Denial::Nsec, Flaw::Expired),
        ("not-yet.test", Denial::Nsec3, Flaw::NotYetValid),
        ("tampered.test", Denial::Nsec, Flaw::Tampered),
        ("plain.optout.test", Denial::Nsec, Flaw::Unsigned),
    ];
    kinds
        .into_iter()
        .fold(Tree::new(), |tree, (apex, denial, flaw)| {
            tree.with(apex, &zone(apex), denial, flaw)
        })
}

fn validating(dns: &Dns, anchor: &str) -> DnsSettings {
    DnsSettings {
        dnssec: DnssecMode::Validate,
        anchor: anchor.parse::<Anchor>().unwrap(),
        ..settings(&[dns.address()])
    }
}

async fn world() -> (Dns, DnsResolver) {
    let tree = tree();
    let anchor = tree.anchor();
    let dns = Dns::signed(tree).await;
    let (resolver, health) = probed(&validating(&dns, &anchor)).await;
    assert_eq!(health.in_force, InForce::Validate, "{health}");
    (dns, resolver)
}

/// `S` secure, `I` insecure, with `+` records, `nd` NODATA, `nx` NXDOMAIN; or the error.
async fn verdict(resolver: &DnsResolver, name: &str, kind: RecordType) -> String {
    match resolver.ask(name, kind, |data| Some(data.clone())).await {
        Ok(answer) => {
            let security = match answer.security {
                Security::Secure => "S",
                Security::Insecure => "I",
            };
            let found = match answer.found {
                Found::Records(_) => "+",
                Found::NoData => "nd",
                Found::NxDomain => "nx",
            };
            format!("{security}{found}")
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Asks each question, a name below `apex` or the apex itself as `@`.
async fn expect(resolver: &DnsResolver, apex: &str, rows: &[(&str, RecordType, &str)]) {
    for (name, kind, wanted) in rows {
        let name = match *name {
            "@" => apex.to_owned(),
            name => format!("{name}.{apex}"),
        };
        let told = verdict(resolver, &name, *kind).await;
        assert_eq!(told, *wanted, "{name} {kind}");
    }
}

use RecordType::{A, AAAA, CNAME, MX, TLSA};

#[tokio::test]
async fn signed_zones_are_secure_in_presence_and_in_absence() {
    let (_dns, resolver) = world().await;
    for apex in ["good.test", "nsec3.test"] {
        let rows = [
            ("@", MX, "S+"),
            ("mx", A, "S+"),
            ("mx", AAAA, "Snd"),
            ("_tcp.mx", TLSA, "Snd"),
            ("_25._tcp.mx", TLSA, "S+"),
            ("_26._tcp.mx", TLSA, "Snx"),
            ("nothing", A, "Snx"),
            // hickory calls this bogus under NSEC (P3).
            ("_25._tcp.wild", TLSA, "S+"),
            ("a.b.deep.wild", A, "S+"),
            ("a.deep.wild", MX, "Snd"),
        ];
        expect(&resolver, apex, &rows).await;
    }
}

#[tokio::test]
async fn aliases_are_as_secure_as_what_they_pass() {
    let (_dns, resolver) = world().await;
    for apex in ["good.test", "nsec3.test"] {
        let rows = [
            ("_25._tcp.alias", TLSA, "S+"),
            ("to-good", A, "S+"),
            ("to-plain", A, "I+"),
            // hickory's own resolver calls this secure (P2).
            ("there-and-back", A, "I+"),
            // It calls these bogus (P5).
            ("to-nothing", A, "Snx"),
            ("to-nodata", A, "Snd"),
            ("to-good", AAAA, "Snd"),
            ("circle", A, "Broken"),
            // And these (P6).
            ("host.moved", A, "S+"),
            ("none.moved", A, "Snx"),
            ("mx.away", A, "I+"),
            ("mx.away", CNAME, "S+"),
            ("to-plain", CNAME, "S+"),
        ];
        expect(&resolver, apex, &rows).await;
    }
    expect(&resolver, "plain.test", &[("back", A, "I+")]).await;
}

#[tokio::test]
async fn what_is_not_signed_or_not_understood_is_insecure() {
    let (_dns, resolver) = world().await;
    let zones = [
        "plain.test",
        "island.test",
        "unknown.test",
        "plain.optout.test",
    ];
    for apex in zones {
        let rows = [
            ("@", MX, "I+"),
            ("_25._tcp.mx", TLSA, "I+"),
            ("_26._tcp.mx", TLSA, "Inx"),
            ("mx", AAAA, "Ind"),
        ];
        expect(&resolver, apex, &rows).await;
    }
}

#[tokio::test]
async fn an_opted_out_span_denies_nothing() {
    let (_dns, resolver) = world().await;
    let rows = [
        ("@", MX, "S+"),
        ("_25._tcp.mx", TLSA, "S+"),
        ("mx", AAAA, "Snd"),
        ("nothing", A, "Inx"),
    ];
    expect(&resolver, "optout.test", &rows).await;
}

#[tokio::test]
async fn what_is_signed_wrong_is_bogus() {
    let (_dns, resolver) = world().await;
    let zones = [
        "wrong-ds.test",
        "not-signed.test",
        "expired.test",
        "not-yet.test",
        "tampered.test",
    ];
    for apex in zones {
        // Only what exists can be tampered with.
        let absent = if apex == "tampered.test" {
            &[][..]
        } else {
            &[("_26._tcp.mx", TLSA, "Bogus")]
        };
        expect(
            &resolver,
            apex,
            &[("@", MX, "Bogus"), ("_25._tcp.mx", TLSA, "Bogus")],
        )
        .await;
        expect(&resolver, apex, absent).await;
    }
    assert_eq!(verdict(&resolver, "mx.expired.test", A).await, "Bogus");
}

/// RFC 6840 §5.9: asked with CD, a resolver that validates too hands over what it finds wrong.
#[tokio::test]
async fn what_another_resolver_would_withhold_is_looked_at() {
    let (dns, resolver) = world().await;
    for apex in ["expired.test", "good.test"] {
        dns.fail(apex, Fault::Withheld);
    }
    assert_eq!(verdict(&resolver, "expired.test", MX).await, "Bogus");
    assert_eq!(verdict(&resolver, "good.test", MX).await, "S+");
}

#[tokio::test]
async fn signatures_that_are_taken_away_make_it_bogus() {
    let (dns, resolver) = world().await;
    let names = [
        "_25._tcp.mx.good.test",
        "_26._tcp.mx.good.test",
        "mx.nsec3.test",
    ];
    for name in names {
        dns.fail(name, Fault::Bogus);
        assert_eq!(verdict(&resolver, name, TLSA).await, "Bogus", "{name}");
    }
}

/// hickory calls the second one insecure, by which anybody could switch DANE off (P1).
#[tokio::test]
async fn no_zone_but_its_own_denies_a_name() {
    let (dns, resolver) = world().await;
    let name = "_25._tcp.mx.good.test";
    for zone in ["good.test", "plain.test", "test", "."] {
        dns.fail(name, Fault::DeniedBy(zone));
        assert_eq!(verdict(&resolver, name, TLSA).await, "Bogus", "{zone}");
    }
    // A zone that is not signed may deny what it likes of its own names.
    let own = "_25._tcp.mx.plain.test";
    dns.fail(own, Fault::DeniedBy("plain.test"));
    assert_eq!(verdict(&resolver, own, TLSA).await, "Inx");
}

/// hickory looks for no proof that the wildcard may answer once something in the authority section is not signed.
#[tokio::test]
async fn a_wildcard_does_not_answer_for_a_name_that_exists() {
    let (dns, resolver) = world().await;
    for zone in ["plain.test", "good.test", "."] {
        for (name, of) in [
            ("closer.deep.wild.good.test", "a.deep.wild.good.test"),
            ("closer.deep.wild.nsec3.test", "a.deep.wild.nsec3.test"),
        ] {
            dns.heal();
            assert_eq!(verdict(&resolver, name, MX).await, "Snd");
            dns.fail(name, Fault::Replayed(of, zone));
            assert_eq!(verdict(&resolver, name, A).await, "Bogus", "{name} {zone}");
        }
    }
}

/// One wrong bit anywhere in the signatures between the trust anchor and what mail depends on. Not those of the keys:
/// each zone here has one key, which the DS record or the anchor proves already.
#[tokio::test]
async fn one_wrong_bit_of_any_signature_makes_it_bogus() {
    let tlsa = ("_25._tcp.mx.good.test", TLSA);
    let signatures = [
        (("good.test", MX), ("good.test", MX)),
        (("mx.good.test", A), ("mx.good.test", A)),
        (tlsa, tlsa),
        (tlsa, ("good.test", RecordType::DS)),
        (tlsa, ("test", RecordType::DS)),
    ];
    let tree = tree();
    let anchor = tree.anchor();
    let dns = Dns::signed(tree).await;
    for ((asked, of), (name, kind)) in signatures {
        for _ in 0..20 {
            let (resolver, _) = probed(&validating(&dns, &anchor)).await;
            let bit = rand::random_range(0..512);
            dns.fail_type(name, kind, Fault::Flip(bit));
            let told = verdict(&resolver, asked, of).await;
            assert_eq!(told, "Bogus", "bit {bit} of the signature of {name} {kind}");
            dns.heal();
            let (resolver, _) = probed(&validating(&dns, &anchor)).await;
            assert_eq!(verdict(&resolver, asked, of).await, "S+");
        }
    }
}

/// hickory's resolver takes a path to a file of trust anchors and never reads it (P7).
#[tokio::test]
async fn the_chain_begins_with_the_configured_anchor() {
    let dns = Dns::signed(tree()).await;
    let other = Tree::new().anchor();
    let (resolver, health) = probed(&validating(&dns, &other)).await;
    assert_eq!(health.in_force, InForce::Unavailable, "{health}");
    let mx = resolver.ask("good.test", MX, |_| Some(())).await.unwrap();
    assert_eq!(mx.security, Security::Insecure);
}

/// A server that proved its answers once and then does not: an attacker could look like that.
#[tokio::test]
async fn once_it_has_worked_nobody_can_switch_it_off() {
    let (dns, resolver) = world().await;
    dns.replace("plain.test MX 10 mx.plain.test\ngood.test MX 10 mx.evil.test");
    let health = resolver.probe().await;
    assert_eq!(health.in_force, InForce::Validate);
    assert!(!health.passed(), "{health}");
    for domain in ["good.test", "plain.test"] {
        let answer = resolver.ask(domain, MX, |_| Some(())).await;
        assert_eq!(answer, Err(LookupError::Bogus), "{domain}");
    }
}
