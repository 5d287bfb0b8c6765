use proptest::prelude::*;

use super::*;
use crate::policy::handshake::TlsVersion;
use crate::policy::postfix::{Effect, Import, import};
use crate::policy::rules::Origin;

const NOW: UnixTime = UnixTime(1_800_000_000);
const PRINT: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

fn table(import: Import) -> String {
    export(&Rules::new(import.rules, NOW).unwrap(), NOW)
}

/// The entries of a table, without comments.
fn entries(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn each_level_comes_back_as_it_was() {
    let both_ways = |entry: &str, want: &str| {
        let import = import(entry, "t");
        assert_eq!(import.notes, [], "{entry}");
        let text = table(import);
        assert_eq!(entries(&text), [want], "{entry}");
    };
    for same in ["none", "may", "encrypt", "dane", "dane-only"] {
        let entry = format!("a.example\t{same}");
        both_ways(&entry, &entry);
    }
    both_ways(".A.Example ENCRYPT", ".a.example\tencrypt");
    both_ways("[192.0.2.1] encrypt", "[192.0.2.1]\tencrypt");
    both_ways("[ipv6:2001:db8::1] may", "[ipv6:2001:db8::1]\tmay");
    both_ways(
        "a.example verify",
        "a.example\tsecure match=hostname servername=hostname",
    );
    both_ways(
        "a.example secure",
        "a.example\tsecure match=nexthop:dot-nexthop servername=hostname",
    );
    both_ways(
        "a.example secure match=MX.b.example:.c.example, match=nexthop\n  servername=nexthop tafile=/etc/ca.pem",
        "a.example\tsecure match=mx.b.example:.c.example:nexthop servername=nexthop tafile=/etc/ca.pem",
    );
    both_ways(
        "a.example encrypt protocols=>=TLSv1.3",
        "a.example\tencrypt protocols=>=TLSv1.3",
    );
    both_ways(
        "a.example encrypt protocols=TLSv1.2:TLSv1.3",
        "a.example\tencrypt",
    );
    both_ways(
        &format!(
            "a.example fingerprint match={}|{PRINT}",
            PRINT.replace(':', "").to_lowercase()
        ),
        &format!("a.example\tfingerprint match={PRINT}|{PRINT} servername=hostname"),
    );
}

#[test]
fn what_a_rule_cannot_say_is_told_with_its_line() {
    let told = |entry: &str, effect: Effect, want: &str| {
        let import = import(&format!("# a table\n{entry}"), "t");
        let note = &import.notes[0];
        assert_eq!(
            (note.line, note.effect),
            (2, effect),
            "{entry}: {}",
            note.text
        );
        assert!(note.text.contains(want), "{entry}: {}", note.text);
        assert_eq!(import.rules.len() + import.left_out(), 1, "{entry}");
        assert_eq!(import.left_out() == 1, effect == Effect::LeftOut);
    };
    let out = |entry: &str, want: &str| told(entry, Effect::LeftOut, want);
    out("[mx.a.example]:587 encrypt", "`route`");
    out("[mx.a.example] encrypt", "`route`");
    out("a.example:26 encrypt", "`route`");
    out("/^a/ encrypt", "character");
    out("a.example", "has no level");
    out("a.example strong", "`strong` is no level");
    out("a.example secure match=mx", "no dot");
    out("a.example encrypt match=nexthop", "Postfix refuses");
    out("a.example dane tafile=/x", "Postfix refuses");
    out("a.example secure tafile=/x tafile=/y", "join them");
    out("a.example encrypt cipher=high", "no attribute");
    out("a.example encrypt high", "not name=value");
    out("a.example encrypt protocols=TLSv1.1", "TLS 1.2 and TLS 1.3");
    out("a.example encrypt protocols=TLSv9", "no protocol");
    out("a.example fingerprint match=00:11", "not SHA-256");
    out("a.example fingerprint", "without `match=`");
    let changed = |entry: &str, want: &str| told(entry, Effect::Changed, want);
    changed("a.example encrypt ciphers=high", "forward secrecy");
    changed("a.example encrypt exclude=aNULL", "cipher suites");
    changed("a.example encrypt connection_reuse=no", "keeps");
    changed("a.example encrypt protocols=!SSLv3", "older than TLS 1.2");
    changed(
        "a.example encrypt protocols=TLSv1.2",
        "offered all the same",
    );
    changed("a.example dane protocols=TLSv1.3", "weaker");
    changed("a.example secure { policy_ttl = 300 }", "fetches by itself");
}

#[test]
fn the_first_of_two_entries_counts() {
    let import = import("a.example may\nA.example secure\n", "t");
    assert_eq!(import.rules.len(), 1);
    assert_eq!(import.rules[0].level, Level::May);
    assert_eq!(import.notes[0].line, 2);
}

#[test]
fn what_postfix_cannot_express_is_a_comment() {
    let mut rules = import(
        "a.example dane\nb.example secure\nc.example encrypt\n",
        "t.toml",
    )
    .rules;
    let mut add = |change: &dyn Fn(&mut Rule)| {
        let mut rule = rules[1].clone();
        rule.origin = Origin {
            file: "t.toml".into(),
            line: rules.len() + 1,
        };
        change(&mut rule);
        rules.push(rule);
    };
    add(&|rule| rule.pattern = Pattern::Any);
    add(&|rule| {
        rule.pattern = Pattern::Any;
        rule.sender = SenderScope::Exact("s.example".parse().unwrap());
    });
    add(&|rule| rule.sender = SenderScope::Suffix("s.example".parse().unwrap()));
    add(&|rule| {
        rule.pattern = Pattern::Suffix("d.example".parse().unwrap());
        rule.level = Level::Standard(Floor::Encrypt);
    });
    add(&|rule| {
        rule.pattern = Pattern::Suffix("e.example".parse().unwrap());
        rule.mode = Mode::Observe;
        rule.expires = Some(UnixTime(NOW.0 + 1));
    });
    add(&|rule| {
        rule.pattern = Pattern::Suffix("f.example".parse().unwrap());
        rule.expires = Some(NOW);
    });
    let text = export(&Rules::new(rules, NOW).unwrap(), NOW);
    let want = "
# t.toml:1; without its MTA-STS policy
a.example\tdane

# t.toml:2
b.example\tsecure match=nexthop:dot-nexthop servername=hostname

# t.toml:3
c.example\tencrypt

# t.toml:4: * (secure) is not in this table: for every destination there is main.cf alone

# t.toml:5: * (secure) is not in this table: for every destination there is main.cf alone

# t.toml:6: b.example (secure) is not in this table: it is for mail from .s.example alone, and Postfix does not look up senders

# t.toml:7: .d.example (standard (floor encrypt)) is not in this table: Postfix has no DANE with a floor of `encrypt`

# t.toml:8; until 2027-01-15T08:00:01Z, take it out then; it observes, which is `may` to Postfix
.e.example\tmay
";
    assert_eq!(text, format!("{HEAD}{want}"));
}

/// What is the same in two rules of different tables.
fn meaning(rule: &Rule) -> (Pattern, Level, TlsVersion, ServerName) {
    (
        rule.pattern.clone(),
        rule.level.clone(),
        rule.min_version,
        rule.server_name.clone(),
    )
}

fn name() -> impl Strategy<Value = String> {
    "[a-d]{1,3}\\.(example|test)"
}

fn policy() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("nexthop".to_owned()),
        Just("dot-nexthop".to_owned()),
        Just("hostname".to_owned()),
        name(),
        name().prop_map(|name| format!(".{name}")),
    ];
    let secure = prop::collection::vec(word, 0..3).prop_map(|words| {
        let matches = words.iter().map(|word| format!(" match={word}"));
        format!("secure{}", matches.collect::<String>())
    });
    let level = prop_oneof![
        Just("none".to_owned()),
        Just("may".to_owned()),
        Just("encrypt".to_owned()),
        Just("dane".to_owned()),
        Just("dane-only".to_owned()),
        Just("verify tafile=/etc/ca.pem".to_owned()),
        Just(format!("fingerprint match={PRINT}")),
        secure,
    ];
    let version = prop_oneof![
        Just(""),
        Just(" protocols=>=TLSv1.3"),
        Just(" ciphers=high")
    ];
    let server = prop_oneof![
        Just(String::new()),
        name().prop_map(|name| format!(" servername={name}")),
    ];
    (level, version, server).prop_map(|(level, version, server)| level + version + &server)
}

proptest! {
    #[test]
    fn a_table_of_rules_means_what_the_rules_mean(
        lines in prop::collection::vec((prop_oneof![name(), name().prop_map(|name| format!(".{name}"))], policy()), 0..8)
    ) {
        let text: Vec<String> = lines.iter().map(|(key, policy)| format!("{key} {policy}")).collect();
        let text = text.join("
");
        let first = import(&text, "t");
        let meant: Vec<_> = first.rules.iter().map(meaning).collect();
        let again = import(&table(first), "t");
        prop_assert!(again.notes.is_empty(), "{:?}", again.notes);
        // SNI is for DANE to choose, and nobody's where there is no TLS.
        let known = |one: &(Pattern, Level, TlsVersion, ServerName)| {
            let chosen = matches!(one.1, Level::None | Level::Standard(_) | Level::DaneOnly);
            let server = if chosen { ServerName::Hostname } else { one.3.clone() };
            (one.0.clone(), one.1.clone(), one.2, server)
        };
        let meant: Vec<_> = meant.iter().map(known).collect();
        let back: Vec<_> = again.rules.iter().map(meaning).collect();
        prop_assert_eq!(meant, back);
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in "[ \\t\\n#.=,{}:!<>\\[\\]a-z0-9é-]{0,200}") {
        let import = import(&text, "t");
        for note in &import.notes {
            prop_assert!(note.line >= 1 && note.line <= text.lines().count());
        }
    }
}
