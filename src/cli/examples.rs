//! Examples below the help of commands whose arguments stand in `cli.rs`.

pub(super) const CHECK: &str = "\
Examples:
  waxseal check example.com                            rule, DNS, DANE, MTA-STS, and what follows
  waxseal check example.com --connect                  also what the MX hosts show
  waxseal check example.com --sender legal.example     for mail from there

Exit codes: 0 authenticated, 1 opportunistic or plaintext, 2 blocked, 3 temporary failure.";

pub(super) const QUERY: &str = "\
Examples:
  waxseal query example.com
  waxseal query '[gw.example.com]:587' --json

Exit codes: 0 a policy, 1 NOTFOUND, 2 PERM, 3 TEMP.";

pub(super) const POLICY: &str = "\
Examples:
  waxseal policy list
  waxseal policy show example.com --json
  waxseal policy refresh example.com
  waxseal policy forget example.com";

pub(super) const CONFIG: &str = "\
Examples:
  waxseal config check --config new.toml && mv new.toml waxseal.toml
  waxseal config check --json
  waxseal config show";

pub(super) const HOST: &str = "\
Examples:
  waxseal host list --lost
  waxseal host show mx.example.com --json
  waxseal host forget mx.example.com";
