//! What a result has to say of where it comes from.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

const LOCK: &str = include_str!("../../../Cargo.lock");

/// In one paragraph: versions, machine, and how busy it was.
pub(crate) fn description() -> String {
    let crates = ["rustls", "aws-lc-rs", "tokio"].map(|name| format!("{name} {}", locked(name)));
    let stunnel = said("stunnel", &["-version"]).and_then(|text| word_after(&text, "stunnel"));
    let postfix = said("postconf", &["-h", "mail_version"]);
    let others = [("stunnel", stunnel), ("Postfix", postfix)];
    let others =
        others.map(|(name, version)| format!("{name} {}", version.as_deref().unwrap_or("missing")));
    let rustc = said("rustc", &["-V"]).and_then(|text| word_after(&text, "rustc"));
    let load = read("/proc/loadavg");
    format!(
        "waxseal {} ({}, rustc {}), {} on Linux {}, {} cores of {}, load {} before.\n\n    cargo bench --bench end_to_end -- {}\n",
        env!("CARGO_PKG_VERSION"),
        crates.join(", "),
        rustc.unwrap_or_default(),
        others.join(", "),
        read("/proc/sys/kernel/osrelease"),
        available_parallelism().map_or(0, usize::from),
        processor(),
        load.split(' ').next().unwrap_or_default(),
        asked(),
    )
}

/// The words that cargo was given.
fn asked() -> String {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    words.collect::<Vec<_>>().join(" ")
}

fn locked(name: &str) -> &'static str {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = LOCK
        .split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("", |(version, _)| version)
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, name)| name)
        .to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(file)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// What a program prints, on whichever stream.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

fn word_after(text: &str, word: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    words.find(|other| *other == word)?;
    words.next().map(str::to_owned)
}
