//! A Postfix policy table as rules.
//!
//! | Postfix | rule |
//! | --- | --- |
//! | `none`, `may`, `encrypt`, `dane-only`, `fingerprint` | the same word |
//! | `dane` | `standard`, floor `may`: it follows MTA-STS as well, so that it never asks less |
//! | `verify` | `secure`, `match = "hostname"` where Postfix names nothing else |
//! | `secure` | `secure`, with the same names |
//! | `match=`, `servername=`, `tafile=` | `match` (or `fingerprints`), `servername`, `ca_file` |
//! | `protocols=` | `min_version` |
//!
//! What a rule cannot say is told with its line: either the line makes no rule at all, or it does and something of it
//! is missing. Postfix keeps mail back where an entry is wrong, so a wrong entry is never read as a weaker one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::protocols::Protocols;
use super::table::{Entry, attribute, entries, words};
use crate::name::{Destination, Host};
use crate::policy::handshake::{Fingerprint, TlsVersion};
use crate::policy::requirement::{Mode, Roots};
use crate::policy::rules::{
    Floor, Hits, Level, MtaStsUse, NameMatch, Origin, Pattern, Rule, SenderScope, ServerName,
};

/// What came of a table.
#[derive(Debug, Default)]
pub struct Import {
    /// The rules, in the order of the table; the anchors of a `tafile` are not read.
    pub rules: Vec<Rule>,
    /// What the rules do not say.
    pub notes: Vec<Note>,
}

impl Import {
    /// How many entries have made no rule.
    pub fn left_out(&self) -> usize {
        let notes = self.notes.iter();
        notes.filter(|note| note.effect == Effect::LeftOut).count()
    }
}

/// Something that has no equivalent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where the entry begins.
    pub line: usize,
    /// What follows.
    pub effect: Effect,
    /// What it is, and why.
    pub text: String,
}

/// What follows from something that has no equivalent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The entry has made no rule: another one counts for its destination.
    LeftOut,
    /// The entry has made a rule, which differs in this.
    Changed,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeftOut => "left out",
            Self::Changed => "changed",
        })
    }
}

/// Reads a table; `file` names it in the rules' origins.
pub fn import(text: &str, file: &str) -> Import {
    let file: Arc<str> = file.into();
    let mut import = Import::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for entry in entries(text) {
        let first = *seen.entry(entry.key.clone()).or_insert(entry.line);
        let origin = Origin {
            file: Arc::clone(&file),
            line: entry.line,
        };
        let mut reader = Reader {
            entry: &entry,
            changes: Vec::new(),
        };
        let rule = if first == entry.line {
            reader.rule(origin)
        } else {
            Err(format!(
                "`{}` stands at line {first} already, and postmap keeps the first",
                entry.key
            ))
        };
        import.take(&entry, reader.changes, rule);
    }
    import
}

impl Import {
    fn take(&mut self, entry: &Entry, changes: Vec<String>, rule: Result<Rule, String>) {
        let note = |effect, text| Note {
            line: entry.line,
            effect,
            text,
        };
        match rule {
            Ok(rule) => {
                self.rules.push(rule);
                let changes = changes.into_iter();
                self.notes
                    .extend(changes.map(|text| note(Effect::Changed, text)));
            }
            Err(why) => self.notes.push(note(Effect::LeftOut, why)),
        }
    }
}

/// The attributes that a rule has a key for.
#[derive(Default)]
struct Attributes<'a> {
    matches: Vec<&'a str>,
    server_name: Option<&'a str>,
    ta_file: Option<&'a str>,
    protocols: Option<&'a str>,
}

struct Reader<'a> {
    entry: &'a Entry,
    changes: Vec<String>,
}

impl<'a> Reader<'a> {
    fn rule(&mut self, origin: Origin) -> Result<Rule, String> {
        let pattern = pattern(&self.entry.key)?;
        let words = words(&self.entry.value);
        let Some((level, words)) = words.split_first() else {
            return Err(format!("`{}` has no level", self.entry.key));
        };
        let level = level.to_lowercase();
        let attributes = if level == "none" {
            Attributes::default()
        } else {
            self.attributes(&level, words)?
        };
        let level = read_level(&level, &attributes)?;
        Ok(Rule {
            pattern,
            sender: SenderScope::Anyone,
            min_version: self.min_version(attributes.protocols, &level)?,
            level,
            mta_sts: MtaStsUse::Followed,
            server_name: server_name(attributes.server_name)?,
            route: None,
            mode: Mode::Enforce,
            reason: None,
            expires: None,
            origin,
            hits: Hits::default(),
        })
    }

    fn attributes(&mut self, level: &str, words: &[&'a str]) -> Result<Attributes<'a>, String> {
        let mut read = Attributes::default();
        for word in words {
            let Some((name, value)) = attribute(word) else {
                return Err(format!("`{word}` is not name=value"));
            };
            match (name.as_str(), level) {
                ("match", "verify" | "secure" | "fingerprint") => read.matches.push(value),
                ("tafile", "verify" | "secure") if read.ta_file.is_none() => {
                    read.ta_file = Some(value);
                }
                ("tafile", "verify" | "secure") => {
                    return Err("several `tafile=`; `ca_file` is one file: join them".to_owned());
                }
                ("match" | "tafile", _) => {
                    return Err(format!("`{name}=` beside `{level}`, which Postfix refuses"));
                }
                ("servername", _) => read.server_name = Some(value),
                ("protocols", _) => read.protocols = Some(value),
                _ => self.beside(&name, value)?,
            }
        }
        Ok(read)
    }

    /// An attribute without a key of a rule.
    fn beside(&mut self, name: &str, value: &str) -> Result<(), String> {
        let why = match name {
            "ciphers" => "waxseal has suites with forward secrecy and AEAD alone",
            "exclude" => "the cipher suites of waxseal are not chosen by rule",
            "connection_reuse" => "waxseal itself decides which connections it keeps",
            "enable_rpk" => "waxseal asks for certificates, not for bare public keys",
            "ttl" | "policy_ttl" | "policy_type" | "policy_domain" | "policy_string"
            | "policy_failure" | "mx_host_pattern" => {
                "it tells of an MTA-STS policy, which waxseal fetches by itself"
            }
            _ => return Err(format!("`{name}=` is no attribute that Postfix knows")),
        };
        self.changes
            .push(format!("`{name}={value}` is dropped: {why}"));
        Ok(())
    }

    fn min_version(&mut self, text: Option<&str>, level: &Level) -> Result<TlsVersion, String> {
        let Some(text) = text else {
            return Ok(TlsVersion::Tls12);
        };
        let protocols = Protocols::parse(text)?;
        let change = |what: &str| format!("`protocols={text}`: {what}");
        if protocols.allow_older() {
            let what = "waxseal speaks nothing older than TLS 1.2";
            self.changes.push(change(what));
        }
        let least = match (protocols.allow("tlsv1.2"), protocols.allow("tlsv1.3")) {
            (true, true) => TlsVersion::Tls12,
            (false, true) => TlsVersion::Tls13,
            (true, false) => {
                self.changes.push(change("TLS 1.3 is offered all the same"));
                TlsVersion::Tls12
            }
            (false, false) => return Err(change("waxseal speaks TLS 1.2 and TLS 1.3")),
        };
        let lets_plaintext_out = matches!(level, Level::May | Level::Standard(Floor::May));
        if least == TlsVersion::Tls13 && lets_plaintext_out {
            let what = "weaker: a level that allows plaintext takes TLS 1.2, too";
            self.changes.push(change(what));
            return Ok(TlsVersion::Tls12);
        }
        Ok(least)
    }
}

/// A recipient domain; other next hops are the choice of Postfix's own configuration.
fn pattern(key: &str) -> Result<Pattern, String> {
    let wrong = |error: &dyn fmt::Display| format!("`{key}`: {error}");
    if let Some(parent) = key.strip_prefix('.') {
        return parent
            .parse()
            .map(Pattern::Suffix)
            .map_err(|error| wrong(&error));
    }
    if let Ok(literal @ Destination::Literal(_)) = key.parse() {
        return Ok(Pattern::Exact(literal));
    }
    if key.contains(['[', ':']) {
        let why = "a next hop of Postfix's own configuration; write a rule with `route` for the domains whose mail goes there";
        return Err(wrong(&why));
    }
    key.parse()
        .map(Pattern::Exact)
        .map_err(|error| wrong(&error))
}

fn read_level(word: &str, attributes: &Attributes<'_>) -> Result<Level, String> {
    Ok(match word {
        "none" => Level::None,
        "may" => Level::May,
        "encrypt" => Level::Encrypt,
        "dane" => Level::Standard(Floor::May),
        "dane-only" => Level::DaneOnly,
        "verify" => secure(attributes, &[NameMatch::Hostname])?,
        "secure" => secure(attributes, &[NameMatch::Nexthop, NameMatch::DotNexthop])?,
        "fingerprint" => fingerprint(attributes)?,
        _ => return Err(format!("`{word}` is no level that Postfix knows")),
    })
}

fn secure(attributes: &Attributes<'_>, default: &[NameMatch]) -> Result<Level, String> {
    let words = attributes.matches.iter().flat_map(|text| text.split(':'));
    let words = words.filter(|word| !word.is_empty());
    let mut matches: Vec<NameMatch> = words.map(name_match).collect::<Result<_, _>>()?;
    if matches.is_empty() {
        matches.extend_from_slice(default);
    }
    Ok(Level::Secure {
        matches,
        roots: attributes.ta_file.map(|path| {
            Arc::new(Roots {
                source: path.to_owned(),
                anchors: Vec::new(),
            })
        }),
    })
}

fn name_match(word: &str) -> Result<NameMatch, String> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "nexthop" => NameMatch::Nexthop,
        "dot-nexthop" => NameMatch::DotNexthop,
        "hostname" => NameMatch::Hostname,
        name => match name.strip_prefix('.') {
            Some(parent) => NameMatch::Below(host(parent)?),
            None => NameMatch::Name(host(name)?),
        },
    })
}

fn server_name(word: Option<&str>) -> Result<ServerName, String> {
    Ok(match word.map(str::to_ascii_lowercase).as_deref() {
        None | Some("hostname") => ServerName::Hostname,
        Some("nexthop") => ServerName::Nexthop,
        Some(name) => ServerName::Name(host(name)?),
    })
}

fn host(name: &str) -> Result<Host, String> {
    match name.parse() {
        Ok(host) if name.contains('.') => Ok(host),
        Ok(_) => Err(format!(
            "`{name}` is no name of a certificate: it has no dot"
        )),
        Err(error) => Err(format!("`{name}`: {error}")),
    }
}

fn fingerprint(attributes: &Attributes<'_>) -> Result<Level, String> {
    let texts = attributes.matches.iter().flat_map(|text| text.split('|'));
    let read = |text: &str| {
        Fingerprint::parse(&format!("sha256:{text}")).ok_or_else(|| {
            format!("`{text}` is not SHA-256, which waxseal takes alone; `waxseal check DOMAIN --connect` prints it")
        })
    };
    let prints: Vec<Fingerprint> = texts.map(read).collect::<Result<_, _>>()?;
    if prints.is_empty() {
        return Err("`fingerprint` without `match=`, which nothing can meet".to_owned());
    }
    Ok(Level::Fingerprint(prints.into()))
}
