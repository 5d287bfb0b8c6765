use std::fs;
use std::time::Duration;

use super::*;
use crate::audit::Place;
use crate::policy::outcome::Ingress;
use crate::proxy::settings::MtaTls;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("waxseal.toml"))
}

/// Everything that a configuration means, but not where it was written.
fn meaning(config: &Config) -> String {
    format!(
        "{:?}",
        (
            config.policies.folder(),
            (&config.listeners, &config.maps),
            (&config.admin, &config.dns, config.addresses),
            &config.allow_networks,
            &config.roots,
            &config.settings,
            (&config.log, &config.audit),
        )
    )
}

/// Wrong texts, each with its exact message.
const WRONG: &[(&str, &str)] = &[
    (
        "[tls]\nroots = 'none'",
        "2:9: nobody is trusted, so that no MTA-STS policy could be fetched; add ca_files, choose other roots, or write [mta_sts] enabled = false",
    ),
    // Keys.
    (
        "[mx]\nportt = 25",
        "2:1: unknown key `portt` in [mx]; did you mean `port`?",
    ),
    (
        "mx = { portt = 25 }",
        "1:8: unknown key `portt` in [mx]; did you mean `port`?",
    ),
    (
        "polices = 'x'",
        "1:1: unknown key `polices` at the top level; did you mean `policies`?",
    ),
    (
        "[mxx]\nport = 25",
        "1:2: unknown key `mxx` at the top level; did you mean `mx`?",
    ),
    (
        "[timeouts]\nreedy = '1m'",
        "2:1: unknown key `reedy` in [timeouts]; did you mean `ready`?",
    ),
    (
        "[message]\nlimit = 1",
        "2:1: unknown key `limit` in [message]; known keys: bare_newline, max_size",
    ),
    ("seal = true\nseal = true", "2:1: duplicate key"),
    ("seal", "1:5: key with no value, expected `=`"),
    (
        "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:8461'\ntls_key = 'x'",
        "4:11: `tls_key` is for listeners that take mail: the socketmap protocol has no TLS; remove it, and keep the listener on loopback",
    ),
    (
        "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:8461'\ntls_required = true",
        "1:1: `tls_required` is for listeners that take mail: the socketmap protocol has no TLS; remove it, and keep the listener on loopback",
    ),
    (
        "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:8461'\nallow = []",
        "4:9: `allow` is empty, so that no MTA could connect; list its networks, or remove the key for loopback",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '127.0.0.1:8461'\ntlsrpt = true",
        "4:10: `tlsrpt` is for `kind = \"socketmap\"`: it tells Postfix what to report; remove it here",
    ),
    // Values.
    (
        "seal = 'yes'",
        "1:8: invalid type: string \"yes\", expected a boolean",
    ),
    (
        "[limits]\nmax_errors = 0",
        "2:14: 0 is out of bounds; write a number from 1 to 1000000",
    ),
    (
        "[limits]\nmax_command_line = 511",
        "2:20: 511 is out of bounds; write a number from 512 to 65536",
    ),
    (
        "[mx]\nport = 65536",
        "2:8: 65536 is out of bounds; write a number from 1 to 65535",
    ),
    (
        "[timeouts]\nidle = 5",
        "2:8: invalid type: integer `5`, expected a duration with a unit, such as \"30s\"",
    ),
    (
        "[timeouts]\nidle = '5'",
        "2:8: `5` is not a duration; write numbers with units, such as \"30s\" or \"1h 30m\"",
    ),
    (
        "[timeouts]\nready = '0s'",
        "2:9: `0s` is too short; the least is 1ms",
    ),
    (
        "[timeouts]\nidle = '2days'",
        "2:8: `2days` is too long; the most is 1day",
    ),
    (
        "[tls]\nresume_for = '8days'",
        "2:14: `8days` is too long; the most is 7days",
    ),
    (
        "[message]\nmax_size = 'big'",
        "2:12: `big` is not a size; write octets or a unit, such as \"64 KiB\" or \"50 MB\"",
    ),
    (
        "[message]\nmax_size = -1",
        "2:12: -1 is not a size; 0 means no limit",
    ),
    (
        "[message]\nbare_newline = 'fix'",
        "2:16: unknown word `fix`; write one of: reject, normalise",
    ),
    (
        "[mx]\nallow_networks = ['10.0.0.0/33']",
        "2:19: `10.0.0.0/33` is not a network; write one such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.1\"",
    ),
    (
        "[dns]\nservers = ['ns.example']",
        "2:12: `ns.example` is not the address of a name server; write \"127.0.0.1\" or \"[::1]:5353\"",
    ),
    (
        "hostname = 'a b'",
        "1:12: `a b` is not a host name (the name has a character other than letters, digits, '-' and '_'); write one such as \"mail.example.com\" or \"[192.0.2.1]\"",
    ),
    (
        "[log]\nlevel = 'inffo'",
        "2:9: `inffo` is not a log level; write one of off, error, warn, info, debug, trace or directives such as \"info,waxseal::proxy=debug\"",
    ),
    // The admin endpoint.
    (
        "[admin]\nlisten = '[::]:9825'",
        "2:10: [::]:9825 is not loopback, so whoever reads there must show a token; add `token_file`, or the systemd credential `waxseal-admin-token`",
    ),
    (
        "[admin]\ntoken_file = '/dev/null'",
        "2:14: `/dev/null`: a token of 0 characters could be guessed; write at least 16, such as `openssl rand -hex 32` makes",
    ),
    (
        "[admin]\ntls_key = 'x'",
        "1:1: `tls_key` without `tls_certificate`; add the certificate",
    ),
    (
        "[metrics]\ndomains = ['a.example', 'b..example']",
        "2:25: `b..example` is not a domain (a label of the name is empty or longer than 63 characters); write one such as \"example.com\"",
    ),
    (
        "[tls]\ndowngrade_hold = '31days'",
        "2:18: `31days` is too long; the most is 30days",
    ),
    // Listeners.
    (
        "listener = []",
        " there is no listener; remove `listener = []` for the default ones or add a [[listener]]",
    ),
    (
        "[[listener]]\nkind = 'smtp'",
        "2:8: unknown word `smtp`; write one of: relay, lmtp, socketmap, transparent, socks5",
    ),
    (
        "\n[[listener]]\nkind = 'relay'",
        "2:1: `listen` is missing in [[listener]]; add it",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = 'localhost'",
        "3:10: `localhost` is not an address with a port; write \"127.0.0.1:10025\" or \"[::1]:10025\"",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\nallow = []",
        "4:9: `allow` is empty, so that no MTA could connect; list its networks, or remove the key for loopback",
    ),
    (
        "[admin]\nlisten = '127.0.0.1:10025'",
        "2:10: 127.0.0.1:10025 is taken by another listener of this file; choose another port",
    ),
    (
        "[[listener]]\nkind = 'relay'\nlisten = '[::1]:1'\nmode = 'redirect'",
        "4:8: `mode` is for kind = \"transparent\" alone",
    ),
    (
        "[[listener]]\nkind = 'transparent'\nlisten = '[::1]:1'\nmode = 'nat'",
        "4:8: unknown word `nat`; write one of: redirect, tproxy",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\nbypass = ['10.0.0.0/8']",
        "4:10: `bypass` is for kind = \"transparent\" or \"socks5\", where the MTA chooses the MX",
    ),
    (
        "[[listener]]\nkind = 'transparent'\nlisten = '[::1]:1'\nusers_file = 'users'",
        "4:14: `users_file` is for kind = \"socks5\" alone",
    ),
    (
        "[[listener]]\nkind = 'socks5'\nlisten = '[::1]:1'\nallow = ['127.0.0.0/8', '10.0.0.0/8']",
        "4:9: `allow` lets in more than loopback, and nobody there could prove who it is; add `users_file`",
    ),
    (
        "[[listener]]\nkind = 'socks5'\nlisten = '[::1]:1'\nusers_file = 'missing'",
        "4:14: cannot read `missing`: No such file or directory (os error 2)",
    ),
    (
        "[[listener]]\nkind = 'relay'\nlisten = '[::1]:1'\nmta_starttls = 'hide'",
        "4:16: `mta_starttls` is for kind = \"transparent\" or \"socks5\"; elsewhere `tls_certificate` offers STARTTLS",
    ),
    // Destinations.
    (
        "\n[[destination]]\nconnections = 1",
        "2:1: the [[destination]] names nothing; add `mx` or `network`",
    ),
    (
        "[[destination]]\nmx = []\nmessages = '1/1s'",
        "1:1: the [[destination]] names nothing; add `mx` or `network`",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']",
        "1:1: the [[destination]] has no limit; add `connections` or `messages`",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nconnections = 0",
        "3:15: 0 is out of bounds; write a number from 1 to 100000",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nconnection = 1",
        "3:1: unknown key `connection` in [[destination]]; did you mean `connections`?",
    ),
    (
        "[[destination]]\nmx = ['192.0.2.1']\nconnections = 1",
        "2:7: `192.0.2.1` is not an MX host pattern: it is an address, and has no name",
    ),
    (
        "[[destination]]\nnetwork = ['mx.a.example']\nconnections = 1",
        "2:12: `mx.a.example` is not a network; write one such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.1\"",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nmessages = '100'",
        "3:12: `100` is not a rate; write how many and in what time, such as \"100/1m\"",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nmessages = 100",
        "3:12: invalid type: integer `100`, expected a rate such as \"100/1m\"",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nmessages = '0/1m'",
        "3:12: `0/1m` is out of bounds; write from 1 to 100000 messages, and a shorter time where that is too few",
    ),
    (
        "[[destination]]\nmx = ['mx.a.example']\nmessages = '9/m'",
        "3:12: `m` is not a duration; write numbers with units, such as \"30s\" or \"1h 30m\"",
    ),
    (
        "[[destination]]\nmx = ['*.example']\nconnections = 9\n[[destination]]\nmx = ['b.test', 'mx.a.example']\nconnections = 1",
        "5:17: a [[destination]] above names *.example, and the first one counts; put this one before it, or remove it",
    ),
    (
        "[[destination]]\nnetwork = ['192.0.2.0/24']\nconnections = 9\n[[destination]]\nnetwork = ['192.0.2.7']\nconnections = 1",
        "5:12: a [[destination]] above names 192.0.2.0/24, and the first one counts; put this one before it, or remove it",
    ),
    // Certificates.
    (
        "[tls]\nca_files = ['missing.pem']",
        "2:13: cannot read `missing.pem`: No such file or directory (os error 2)",
    ),
    (
        "[tls]\nca_files = ['Cargo.toml']",
        "2:13: `Cargo.toml` holds no certificate; it must be PEM with BEGIN CERTIFICATE",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\ntls_certificate = 'x'",
        "1:1: `tls_certificate` without `tls_key`; add the private key",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\ntls_key = 'x'",
        "1:1: `tls_key` without `tls_certificate`; add the certificate",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\ntls_required = true",
        "1:1: `tls_required` without `tls_certificate` and `tls_key`; add both",
    ),
    (
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\ntls_client_ca = 'x'",
        "1:1: `tls_client_ca` without `tls_certificate` and `tls_key`; add both",
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_way_out() {
    for (text, message) in WRONG {
        let error = parse(text).expect_err(text).to_string();
        assert_eq!(error, format!("waxseal.toml:{message}"), "{text}");
    }
}

#[test]
fn the_annotated_example_says_what_the_defaults_are() {
    let example = parse(include_str!("../../docs/waxseal.toml")).unwrap();
    let empty = parse("").unwrap();
    assert_eq!(meaning(&example), meaning(&empty));
    assert!(empty.warnings.is_empty());
}

/// Tables that the example comments out.
const TABLES: [&str; 2] = ["[[listener]]", "[[destination]]"];

/// Turns `# key = value` into `key = value`, and `# [[table]]` into `[[table]]`.
fn uncommented(text: &str) -> String {
    let is_key = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) || TABLES.contains(&rest) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A DNSKEY record, whose key nobody has.
fn root_key() -> String {
    format!(". 3600 IN DNSKEY 257 3 13 {}==\n", "A".repeat(86))
}

/// A folder with the files that the example names.
fn folder_of_the_example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["mta.example".to_owned()]).unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("mta.pem", pair.cert.pem());
    write("mta.key", pair.signing_key.serialize_pem());
    write("admin.pem", pair.cert.pem());
    write("admin.key", pair.signing_key.serialize_pem());
    write("admin-token", "0123456789abcdef\n".to_owned());
    write("clients.pem", pair.cert.pem());
    write("root.key", root_key());
    write("users", "# who\nmta:secret\n".to_owned());
    folder
}

#[test]
fn the_keys_that_the_example_comments_out_are_keys() {
    let folder = folder_of_the_example();
    let text = uncommented(include_str!("../../docs/waxseal.toml"));
    assert!(text.matches("\ntls_").count() >= 4, "{text}");
    let config = Config::parse(&text, &folder.path().join("waxseal.toml")).unwrap();
    assert_eq!(&*config.settings.hostname, "mail.example.com");
    assert_eq!(config.dns.servers, ["127.0.0.1:53".parse().unwrap()]);
    assert_eq!(config.dns.anchor, root_key().parse().unwrap());
    assert!(matches!(config.listeners[0].tls, MtaTls::Offered(_)));
    assert!(matches!(config.listeners[1].tls, MtaTls::Off));
    assert_eq!(config.maps[0].listen, "127.0.0.1:8461".parse().unwrap());
    assert_eq!(config.settings.caps[0].limits.connections, Some(20));
    let admin = config.admin.unwrap();
    assert!(admin.access.token().is_some() && admin.tls.is_some());
    let kinds = config.listeners.iter().map(|listener| listener.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), Ingress::ALL);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn what_is_shown_parses_again_to_the_same() {
    let folder = folder_of_the_example();
    fs::create_dir(folder.path().join("rules")).unwrap();
    let file = folder.path().join("waxseal.toml");
    let text = "policies = 'rules'\nhostname = '[192.0.2.1]'\nseal = false\n\
        [[listener]]\nkind = 'lmtp'\nlisten = '[::1]:0'\nallow = ['10.1.2.3/8', '192.0.2.1']\n\
        tls_certificate = 'mta.pem'\ntls_key = 'mta.key'\ntls_required = true\n\
        [[listener]]\nkind = 'socketmap'\nlisten = '[::1]:0'\ntlsrpt = true\n\
        [[listener]]\nkind = 'socks5'\nlisten = '[::1]:0'\nusers_file = 'users'\nallow = ['10.0.0.0/8']\n\
        [[listener]]\nkind = 'transparent'\nlisten = '[::1]:0'\nmode = 'tproxy'\nbypass = ['10.0.0.0/8']\n\
        mta_starttls = 'passthrough'\n\
        [admin]\nlisten = '192.0.2.1:9825'\ntoken_file = 'admin-token'\nhosts = ['wax.example']\n\
        tls_certificate = 'admin.pem'\ntls_key = 'admin.key'\n[dns]\nservers = ['::1', '192.0.2.1:5353']\n\
        dnssec = 'trust-ad'\ntrusted_path = true\ntrust_anchor = 'root.key'\ndane = 'required'\n\
        [mx]\naddresses = 'ipv4-only'\nallow_networks = ['10.0.0.0/8']\ndead_for = '0s'\n\
        [tls]\nroots = 'none'\nca_files = ['clients.pem']\nplaintext_fallback = false\n\
        [[destination]]\nmx = ['*.b.example', 'mx.a.example']\nnetwork = ['192.0.2.9/24']\nmessages = '90/1m 30s'\n\
        [[destination]]\nnetwork = ['::/0']\nconnections = 7\n\
        [message]\nbare_newline = 'normalise'\nmax_size = 0\n[timeouts]\nready = '1m 30s'\n\
        [log]\nformat = 'json'\nlevel = 'info,waxseal::proxy=debug'";
    let config = Config::parse(text, &file).unwrap();
    // From another folder: what is shown holds no relative path.
    let again = Config::parse(&config.show(), Path::new("/other/waxseal.toml")).unwrap();
    assert_eq!(again.policies.folder(), folder.path().join("rules"));
    assert_eq!(again.settings.timeouts.ready, Duration::from_secs(90));
    assert_eq!(again.roots.anchors, config.roots.anchors);
    let body = |config: &Config| {
        config
            .show()
            .split_once('\n')
            .map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(body(&again), body(&config));
    let settings = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            config.settings, config.maps, config.dns, config.addresses, config.log
        )
    };
    assert_eq!(settings(&again), settings(&config));
}

#[test]
fn the_defaults_shown_parse_again_to_the_defaults() {
    let config = parse("").unwrap();
    let again = parse(&config.show()).unwrap();
    assert_eq!(
        meaning(&again),
        meaning(&config).replacen("\"policies\"", &format!("{:?}", again.policies.folder()), 1)
    );
}

#[test]
fn without_any_file_there_are_two_listeners_on_loopback() {
    let config = parse("").unwrap();
    let kinds: Vec<_> = config
        .listeners
        .iter()
        .map(|one| (one.kind, one.listen.port()))
        .collect();
    assert_eq!(kinds, [(Ingress::Relay, 10025), (Ingress::Lmtp, 10024)]);
    assert!(
        config
            .listeners
            .iter()
            .all(|one| one.listen.ip().is_loopback())
    );
    assert_eq!(config.admin.unwrap().listen.port(), 9825);
    assert!(config.roots.anchors.len() > 50);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = folder_of_the_example();
    let other = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap();
    fs::write(
        folder.path().join("mta.key"),
        other.signing_key.serialize_pem(),
    )
    .unwrap();
    let text = "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\ntls_certificate = 'mta.pem'\ntls_key = 'mta.key'";
    let error = Config::parse(text, &folder.path().join("w.toml")).unwrap_err();
    assert_eq!(
        error.position,
        Some(Position {
            line: 4,
            column: 19
        })
    );
    assert!(
        error
            .message
            .starts_with("this certificate and its key cannot be used"),
        "{error}"
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let config = parse(
        "[[listener]]\nkind = 'lmtp'\nlisten = '[::1]:1'\nallow = ['::/0']\n[timeouts]\nready = '6m'",
    );
    assert_eq!(
        config.unwrap().warnings,
        [
            "waxseal.toml:4:9: `allow` lets the whole internet in: this is an open relay unless a firewall says otherwise",
            "waxseal.toml:6:9: `ready` is longer than the 5m that an MTA waits for the reply to RCPT; it may give up first",
        ]
    );
}

#[test]
fn the_audit_log_is_a_file_beside_the_configuration_or_stdout() {
    let place = |value: &str| {
        let text = format!("audit = {{ file = '{value}' }}");
        let config = Config::parse(&text, Path::new("/etc/waxseal/waxseal.toml")).unwrap();
        assert!(config.show().contains("[audit]\n"), "{}", config.show());
        let again = Config::parse(&config.show(), Path::new("/tmp/x.toml")).unwrap();
        assert_eq!(again.audit, config.audit);
        config.audit.place.unwrap()
    };
    assert_eq!(place("stdout"), Place::Stdout);
    let beside = Place::File("/etc/waxseal/audit.jsonl".into());
    assert_eq!(place("audit.jsonl"), beside);
    let elsewhere = Place::File("/var/log/audit.jsonl".into());
    assert_eq!(place("/var/log/audit.jsonl"), elsewhere);
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let error = Config::load(Some(Path::new("/nonexistent/w.toml"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/w.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_hundred_domains_have_metrics_of_their_own_at_most() {
    let listing = |count: usize| {
        let domains: Vec<String> = (0..count).map(|at| format!("'d{at}.example'")).collect();
        parse(&format!("[metrics]\ndomains = [{}]", domains.join(", ")))
    };
    assert_eq!(listing(100).unwrap().listed_domains.len(), 100);
    let error = listing(101).unwrap_err();
    assert_eq!(
        error.message,
        "each domain has 22 time series of its own; list 100 of them at most"
    );
}
