//! `waxseal firewall nftables`: the rules that lead mail to a transparent listener.
//!
//! A packet filter can send a connection to port 25 somewhere else without the MTA's knowledge. Two places
//! matter: the `output` hook sees what an MTA on this machine sends, the `prerouting` hook what passes through
//! on its way from others. Two means: `redirect` rewrites the destination (the kernel remembers it,
//! `SO_ORIGINAL_DST`), `tproxy` leaves it and hands the connection to a socket that may stand for any address.
//!
//! waxseal's own connections to MX hosts must escape, or they would come back to it for ever. So the rules for
//! this machine have to tell them apart: by whose they are, by the service that they come from, or by a
//! mark.
//!
//! This module prints rules and asks `nft` whether they would load; it changes nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use ipnet::IpNet;

use crate::cli::{By, FirewallArgs, From};

/// Where mail never goes through waxseal: what no MX of a stranger is at.
const LOCAL: [&str; 4] = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"];

/// The mark of packets that `tproxy` takes, and the routing table that keeps them here.
const MARK: u32 = 0x7761;
const TABLE: u32 = 7761;

/// Why there is no ruleset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing tells waxseal's own connections from those of the MTA.
    #[error(
        "waxseal's own connections would come back to it: name whose connections are to be led (--only-user postfix) or which are not (--except-user, --except-cgroup or --except-mark)"
    )]
    NoEscape,
    /// A word that could be taken for something else by nft.
    #[error("`{0}` is not the name of a user or a service")]
    Word(String),
    /// Two listeners of one address family.
    #[error("one listener for each address family, please: {0} and {1}")]
    SameFamily(SocketAddr, SocketAddr),
    /// `redirect` of this machine's own connections leads to loopback alone.
    #[error(
        "connections of this machine are redirected to loopback (127.0.0.1, ::1), and {0} is elsewhere"
    )]
    NotLoopback(SocketAddr),
    /// What passes through is led to an address of the interface that it came by, never to loopback.
    #[error(
        "connections of other machines never come to loopback, where {0} is: let the listener take any address, and name it (--listen 0.0.0.0:10026 --listen [::]:10026)"
    )]
    Loopback(SocketAddr),
    /// `tproxy` is for what passes through.
    #[error("--by tproxy is for --from gateway; connections of this machine are led by redirect")]
    TproxyOfOwn,
}

/// The whole ruleset, commented.
pub fn nftables(args: &FirewallArgs) -> Result<String, Error> {
    check(args)?;
    let mut text = head(args);
    let (chain, body) = match args.from {
        From::Local => ("output", local(args)),
        From::Gateway => ("prerouting", gateway(args)),
    };
    let kind = match args.by {
        // The numbers of dstnat and mangle, which nft does not know by name in every hook.
        By::Redirect => format!("type nat hook {chain} priority -100;"),
        By::Tproxy => format!("type filter hook {chain} priority -150;"),
    };
    let _ = write!(
        text,
        "# Loaded again, it replaces itself.\n\
         table inet waxseal\ndelete table inet waxseal\n\n\
         table inet waxseal {{\n\
         {sets}\
         \tchain {chain} {{\n\
         \t\t{kind} policy accept;\n\n\
         \t\ttcp dport != {port} return\n\
         \t\t# Addresses that no mail leaves this site for.\n\
         \t\tip daddr @bypass4 return\n\
         \t\tip6 daddr @bypass6 return\n\
         {body}\
         \t}}\n}}\n",
        sets = sets(&args.bypass),
        port = args.port,
    );
    Ok(text)
}

fn check(args: &FirewallArgs) -> Result<(), Error> {
    let users = args.only_user.iter().chain(&args.except_user);
    for word in users.chain(&args.except_cgroup) {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./@:".contains(c);
        if word.is_empty() || !word.chars().all(good) {
            return Err(Error::Word(word.clone()));
        }
    }
    if let [one, .., other] = &args.listen[..]
        && (args.listen.len() > 2 || one.is_ipv4() == other.is_ipv4())
    {
        return Err(Error::SameFamily(*one, *other));
    }
    match args.from {
        From::Local => check_local(args),
        From::Gateway => match args.listen.iter().find(|to| to.ip().is_loopback()) {
            Some(loopback) => Err(Error::Loopback(*loopback)),
            None => Ok(()),
        },
    }
}

fn check_local(args: &FirewallArgs) -> Result<(), Error> {
    let escapes = !args.only_user.is_empty()
        || args.except_user.is_some()
        || args.except_cgroup.is_some()
        || args.except_mark.is_some();
    if !escapes {
        return Err(Error::NoEscape);
    }
    if args.by == By::Tproxy {
        return Err(Error::TproxyOfOwn);
    }
    match args.listen.iter().find(|to| !takes_loopback(**to)) {
        Some(elsewhere) => Err(Error::NotLoopback(*elsewhere)),
        None => Ok(()),
    }
}

fn takes_loopback(listen: SocketAddr) -> bool {
    listen.ip().is_loopback() || listen.ip().is_unspecified()
}

fn head(args: &FirewallArgs) -> String {
    let whose = match args.from {
        From::Local => "the MTA on this machine sends",
        From::Gateway => "other machines send through this one",
    };
    let mut text = format!(
        "#!/usr/sbin/nft -f\n\
         # Leads what {whose} to port {} to waxseal, whose listener is of kind = \"transparent\".\n\
         # Load it with `nft -f FILE`; keep it over a restart in /etc/nftables.conf. `nft delete table inet waxseal` ends it.\n",
        args.port
    );
    if args.by == By::Tproxy {
        let _ = write!(
            text,
            "#\n\
             # Packets with the mark have to stay on this machine; that is routing, which nft does not do:\n\
             #   ip rule add fwmark {MARK:#x} lookup {TABLE}\n\
             #   ip route add local 0.0.0.0/0 dev lo table {TABLE}\n\
             #   ip -6 rule add fwmark {MARK:#x} lookup {TABLE}\n\
             #   ip -6 route add local ::/0 dev lo table {TABLE}\n\
             # The listener needs CAP_NET_ADMIN and mode = \"tproxy\".\n"
        );
    }
    text.push('\n');
    text
}

/// The addresses that are left alone, by family.
fn sets(bypass: &[IpNet]) -> String {
    let local = LOCAL.iter().filter_map(|network| network.parse().ok());
    let all: Vec<IpNet> = local.chain(bypass.iter().copied()).collect();
    let set = |name: &str, kind: &str, networks: Vec<IpNet>| {
        // Networks within others would be a conflict to nft.
        let elements: Vec<String> = IpNet::aggregate(&networks)
            .iter()
            .map(IpNet::to_string)
            .collect();
        format!(
            "\tset {name} {{\n\t\ttype {kind}; flags interval;\n\t\telements = {{ {} }}\n\t}}\n",
            elements.join(", ")
        )
    };
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = all
        .into_iter()
        .partition(|network| matches!(network, IpNet::V4(_)));
    set("bypass4", "ipv4_addr", v4) + &set("bypass6", "ipv6_addr", v6) + "\n"
}

fn local(args: &FirewallArgs) -> String {
    let mut text = String::new();
    let mut line = |rule: &str| {
        let _ = writeln!(text, "\t\t{rule}");
    };
    if let Some(user) = &args.except_user {
        line("# waxseal's own connections: by the user that it runs as.");
        line(&format!("meta skuid \"{user}\" return"));
    }
    if let Some(cgroup) = &args.except_cgroup {
        let level = cgroup.split('/').count();
        line("# waxseal's own connections: by the service that they come from.");
        line(&format!(
            "socket cgroupv2 level {level} \"{cgroup}\" return"
        ));
    }
    if let Some(mark) = args.except_mark {
        line("# waxseal's own connections: by their mark.");
        line(&format!("meta mark {mark:#x} return"));
    }
    let whose = match &args.only_user[..] {
        [] => String::new(),
        users => {
            line("# Only what these users send.");
            let users: Vec<String> = users.iter().map(|user| format!("\"{user}\"")).collect();
            format!("meta skuid {{ {} }} ", users.join(", "))
        }
    };
    for to in &args.listen {
        line(&format!(
            "meta nfproto {} meta l4proto tcp {whose}redirect to :{}",
            family(*to),
            to.port()
        ));
    }
    text
}

fn gateway(args: &FirewallArgs) -> String {
    let mut text = String::new();
    for to in &args.listen {
        let (protocol, port) = (family(*to), to.port());
        let _ = match args.by {
            By::Redirect => writeln!(
                text,
                "\t\tmeta nfproto {protocol} meta l4proto tcp redirect to :{port}"
            ),
            By::Tproxy => {
                let family = if to.is_ipv4() { "ip" } else { "ip6" };
                writeln!(
                    text,
                    "\t\tmeta nfproto {protocol} meta l4proto tcp tproxy {family} to :{port} meta mark set {MARK:#x} accept"
                )
            }
        };
    }
    text
}

fn family(to: SocketAddr) -> &'static str {
    if to.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// Whether the running kernel would take the ruleset: what `nft` says, or that all is well.
pub fn check_with_nft(ruleset: &str) -> Result<(), String> {
    let spawned = Command::new("nft")
        .args(["--check", "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut nft = spawned.map_err(|error| {
        format!("cannot run nft: {error}; install nftables, or check on the machine that is to have the rules")
    })?;
    if let Some(mut stdin) = nft.stdin.take() {
        // Whoever does not read to the end has said why on stderr.
        let _ = stdin.write_all(ruleset.as_bytes());
    }
    let output = nft.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "the kernel does not take the rules (this needs root, nf_tables and its nat, redirect, tproxy or socket modules):\n{}",
        said.trim_end()
    ))
}

#[cfg(test)]
mod tests;
