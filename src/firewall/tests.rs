use super::*;
use clap::Parser;

use crate::cli::{Cli, Command as Asked, FirewallCommand};

fn args(line: &str) -> FirewallArgs {
    let words = ["waxseal", "firewall", "nftables"];
    let cli = Cli::try_parse_from(words.into_iter().chain(line.split_whitespace()));
    match cli.unwrap().command {
        Some(Asked::Firewall(FirewallCommand::Nftables(args))) => args,
        other => panic!("{other:?}"),
    }
}

fn rules(line: &str) -> String {
    nftables(&args(line)).unwrap()
}

/// The rules of the chain, without comments.
fn chain(line: &str) -> Vec<String> {
    let text = rules(line);
    let (_, chain) = text.split_once("policy accept;").unwrap();
    let lines = chain.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#') && *line != "}")
        .map(str::to_owned)
        .collect()
}

#[test]
fn of_this_machine_only_the_mta_is_led_to_loopback() {
    assert_eq!(
        chain("--only-user postfix --only-user Debian-exim"),
        [
            "tcp dport != 25 return",
            "ip daddr @bypass4 return",
            "ip6 daddr @bypass6 return",
            "meta nfproto ipv4 meta l4proto tcp meta skuid { \"postfix\", \"Debian-exim\" } redirect to :10026",
            "meta nfproto ipv6 meta l4proto tcp meta skuid { \"postfix\", \"Debian-exim\" } redirect to :10026",
        ]
    );
}

#[test]
fn waxseals_own_connections_escape_by_user_service_or_mark() {
    let escape = |line: &str| chain(line)[3].clone();
    assert_eq!(
        escape("--except-user waxseal"),
        "meta skuid \"waxseal\" return"
    );
    assert_eq!(
        escape("--except-cgroup system.slice/waxseal.service"),
        "socket cgroupv2 level 2 \"system.slice/waxseal.service\" return"
    );
    assert_eq!(escape("--except-mark 0x10"), "meta mark 0x10 return");
    assert_eq!(nftables(&args("")), Err(Error::NoEscape));
}

#[test]
fn what_passes_through_is_redirected_or_taken_as_it_is() {
    assert_eq!(
        chain("--from gateway --listen 0.0.0.0:2525 --port 2500")[0],
        "tcp dport != 2500 return"
    );
    let redirect = chain("--from gateway --listen 0.0.0.0:2525");
    assert_eq!(
        redirect[3..],
        ["meta nfproto ipv4 meta l4proto tcp redirect to :2525"]
    );
    let text = rules("--from gateway --by tproxy --listen [::]:10027");
    assert!(
        text.contains("tproxy ip6 to :10027 meta mark set 0x7761 accept"),
        "{text}"
    );
    assert!(
        text.contains("#   ip rule add fwmark 0x7761 lookup 7761"),
        "{text}"
    );
}

#[test]
fn networks_within_others_are_named_once() {
    let text =
        rules("--except-user w --bypass 10.0.0.0/8 --bypass 10.1.0.0/16 --bypass 2001:db8::/32");
    assert!(
        text.contains("elements = { 10.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16 }"),
        "{text}"
    );
    assert!(text.contains("2001:db8::/32"), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |line: &str| nftables(&args(line)).unwrap_err();
    assert_eq!(
        refused("--only-user a\";drop"),
        Error::Word("a\";drop".to_owned())
    );
    assert!(matches!(
        refused("--only-user p --listen 127.0.0.1:1 --listen 127.0.0.1:2"),
        Error::SameFamily(..)
    ));
    assert!(matches!(
        refused("--only-user p --listen 192.0.2.1:1"),
        Error::NotLoopback(_)
    ));
    assert_eq!(refused("--only-user p --by tproxy"), Error::TproxyOfOwn);
    // The default listeners are on loopback, and so is none that others reach.
    assert!(matches!(refused("--from gateway"), Error::Loopback(_)));
    assert!(matches!(
        refused("--from gateway --by tproxy --listen [::1]:1"),
        Error::Loopback(_)
    ));
}
