//! The command line of `waxseal firewall`.

use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

/// For which packet filter.
#[derive(Debug, Clone, Subcommand)]
pub enum FirewallCommand {
    /// Print rules for nftables; nothing is loaded
    #[command(after_help = FIREWALL_EXAMPLES)]
    Nftables(FirewallArgs),
}

const FIREWALL_EXAMPLES: &str = "\
Examples:
  waxseal firewall nftables --only-user postfix                   what Postfix on this machine sends
  waxseal firewall nftables --except-cgroup system.slice/waxseal.service
                                                                  what anybody on it sends, but waxseal
  waxseal firewall nftables --from gateway --listen 0.0.0.0:10026 --listen [::]:10026
                                                                  what passes through from other machines
  waxseal firewall nftables --only-user postfix --check           would this kernel take them?

Exit codes: 0 printed, or the kernel would take them; 1 it would not.";

/// What `waxseal firewall nftables` is asked.
#[derive(Debug, Clone, Args)]
pub struct FirewallArgs {
    /// Whose mail
    #[arg(long, value_enum, default_value_t = From::Local)]
    pub from: From,

    /// How it is led
    #[arg(long, value_enum, default_value_t = By::Redirect)]
    pub by: By,

    /// Address and port of the transparent listener, once for each address family; beyond loopback for --from gateway
    #[arg(long, value_name = "ADDRESS:PORT", default_values = ["127.0.0.1:10026", "[::1]:10026"])]
    pub listen: Vec<SocketAddr>,

    /// Port of the MX hosts
    #[arg(long, default_value_t = 25)]
    pub port: u16,

    /// Only connections of this user of this machine; may be repeated
    #[arg(long, value_name = "USER")]
    pub only_user: Vec<String>,

    /// No connections of this user: the one that waxseal runs as
    #[arg(long, value_name = "USER")]
    pub except_user: Option<String>,

    /// No connections of this service: the one that waxseal runs as, such as system.slice/waxseal.service
    #[arg(long, value_name = "CGROUP")]
    pub except_cgroup: Option<String>,

    /// No connections with this mark
    #[arg(long, value_name = "MARK", value_parser = mark)]
    pub except_mark: Option<u32>,

    /// Network that is left alone; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub bypass: Vec<IpNet>,

    /// Ask the running kernel whether it would take the rules, instead of printing them
    #[arg(long)]
    pub check: bool,
}

/// A mark, decimal or hexadecimal.
fn mark(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is not a mark; write a number such as 0x10"))
}

/// Whose connections are led to waxseal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Those of MTAs on this machine
    Local,
    /// Those of other machines that pass through this one
    Gateway,
}

/// How connections are led to waxseal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Their destination is rewritten
    Redirect,
    /// Their destination stays (waxseal then has to be allowed to administer the network)
    Tproxy,
}
