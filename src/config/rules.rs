//! From rule files to the set of rules.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::value::Datetime;

use super::error::{ConfigError, Position, Source};
use super::rule_file::{Entry, FloorWord, LevelWord, RuleFile};
use super::{Config, Policies, tls};
use crate::policy::handshake::TlsVersion;
use crate::policy::rules::{
    Clash, Floor, Level, NameMatch, Origin, Pattern, Rule, Rules, SenderScope, ServerName,
};
use crate::time::UnixTime;

/// The rules, and what there is to tell about them.
#[derive(Debug)]
pub struct RuleSet {
    /// The rules, one for each pattern and sender.
    pub rules: Rules,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// How many `[[rule]]` they hold.
    pub entries: usize,
    /// What is legal and probably not meant, each with its place.
    pub warnings: Vec<String>,
}

/// Reads the rule files; logs nothing.
pub fn read_rules(config: &Config, now: UnixTime) -> Result<RuleSet, ConfigError> {
    let mut warnings = Vec::new();
    let files = rule_files(config, &mut warnings)?;
    let mut rules = Vec::new();
    let mut entries = 0;
    for file in &files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::of_file(file, format!("cannot be read: {error}")))?;
        let source = Source { file, text: &text };
        let parsed: RuleFile = toml::from_str(&text).map_err(|error| source.explain(&error))?;
        entries += parsed.rule.len();
        for entry in &parsed.rule {
            rules.extend(Reader { entry, source }.rules()?);
        }
    }
    let folder = config.policies.folder();
    must_have_roots(config, &rules, folder)?;
    warnings.extend(expired(&rules, folder, now));
    Ok(RuleSet {
        rules: Rules::new(rules).map_err(|clash| explain_clash(&clash, folder))?,
        files,
        entries,
        warnings,
    })
}

/// The rule files in name order.
fn rule_files(config: &Config, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = config.policies.folder();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            warnings.push(missing_folder(config, &error)?);
            return Ok(Vec::new());
        }
    };
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::of_file(folder, format!("cannot be read: {error}")))?;
    files.retain(|path| is_rule_file(path));
    files.sort();
    Ok(files)
}

/// A warning where the folder may be missing, else an error.
fn missing_folder(config: &Config, error: &std::io::Error) -> Result<String, ConfigError> {
    let folder = config.policies.folder();
    match &config.policies {
        Policies::Set { named_at, .. } => Err(ConfigError {
            file: config.source.clone(),
            position: Some(*named_at),
            message: format!(
                "cannot read the folder `{}`: {error}; create it or remove `policies`",
                folder.display()
            ),
        }),
        Policies::Default(_) if error.kind() == std::io::ErrorKind::NotFound => Ok(format!(
            "there is no folder `{}`, so there are no rules: TLS is used where it is offered",
            folder.display()
        )),
        Policies::Default(_) => Err(ConfigError::of_file(
            folder,
            format!("cannot be read: {error}"),
        )),
    }
}

/// `*.toml`, but nothing hidden, and so nothing that an editor or a package manager left behind.
fn is_rule_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|ext| ext == "toml") && !path.is_dir()
}

fn explain_clash(clash: &Clash, folder: &Path) -> ConfigError {
    let message = if clash.first == clash.second {
        "this rule names the same domain and sender twice; remove one of them".to_owned()
    } else {
        format!(
            "there is a rule for the same domain and sender at {}; remove one of them",
            clash.first
        )
    };
    at_origin(&clash.second, folder, &message)
}

fn at_origin(origin: &Origin, folder: &Path, message: &str) -> ConfigError {
    ConfigError {
        file: Some(folder.join(&*origin.file)),
        position: Some(Position {
            line: origin.line,
            column: 1,
        }),
        message: message.to_owned(),
    }
}

/// A `secure` rule without any root would keep all mail back for ever.
fn must_have_roots(config: &Config, rules: &[Rule], folder: &Path) -> Result<(), ConfigError> {
    let rootless = rules.iter().find(|rule| {
        config.roots.anchors.is_empty() && matches!(&rule.level, Level::Secure { roots: None, .. })
    });
    match rootless {
        Some(rule) => Err(at_origin(
            &rule.origin,
            folder,
            "`tls = \"secure\"` needs a trusted CA and there is none; add `ca_file` here or `roots` in [tls]",
        )),
        None => Ok(()),
    }
}

fn expired(rules: &[Rule], folder: &Path, now: UnixTime) -> Vec<String> {
    let mut told: Vec<&Origin> = Vec::new();
    let mut warnings = Vec::new();
    for rule in rules {
        if let Some(expires) = rule.expires.filter(|_| rule.has_expired(now))
            && !told.contains(&&rule.origin)
        {
            told.push(&rule.origin);
            warnings.push(format!(
                "{}:{}: expired on {expires}; ignored",
                folder.join(&*rule.origin.file).display(),
                rule.origin.line
            ));
        }
    }
    warnings
}

/// One `[[rule]]` on its way to rules.
struct Reader<'a> {
    entry: &'a Spanned<Entry>,
    source: Source<'a>,
}

impl Reader<'_> {
    fn entry(&self) -> &Entry {
        self.entry.get_ref()
    }

    fn wrong<T>(&self, span: &Range<usize>, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(self.source.error(span, message))
    }

    fn rules(&self) -> Result<Vec<Rule>, ConfigError> {
        let entry = self.entry();
        let patterns = self.patterns()?;
        let level = self.level()?;
        self.check_mx(&level)?;
        let expires = entry
            .expires
            .as_ref()
            .map(|date| self.instant(date))
            .transpose()?;
        let rule = |(pattern, sender): (&Pattern, &SenderScope)| Rule {
            pattern: pattern.clone(),
            sender: sender.clone(),
            level: level.clone(),
            min_version: entry
                .min_version
                .as_ref()
                .map_or(TlsVersion::Tls12, |word| (*word.get_ref()).into()),
            server_name: entry
                .servername
                .as_ref()
                .map_or(ServerName::Hostname, |word| word.get_ref().0.clone()),
            route: entry.route.as_ref().map(|route| route.get_ref().0.clone()),
            mode: entry.mode.into(),
            reason: entry.reason.clone(),
            expires,
            origin: self.origin(),
        };
        let senders = self.senders()?;
        Ok(patterns
            .iter()
            .flat_map(|pattern| senders.iter().map(move |sender| (pattern, sender)))
            .map(rule)
            .collect())
    }

    fn origin(&self) -> Origin {
        let file = self.source.file.file_name().unwrap_or_default();
        Origin {
            file: file.to_string_lossy().into(),
            line: self.source.position(self.entry.span().start).line,
        }
    }

    fn patterns(&self) -> Result<Vec<Pattern>, ConfigError> {
        let entry = self.entry();
        let span = self.entry.span();
        match (entry.domains.is_empty(), entry.mx.is_empty()) {
            (true, true) => self.wrong(
                &span,
                "the rule names no destination; add `domains` or `mx`",
            ),
            (false, false) => self.wrong(
                &entry.mx[0].span(),
                "a rule has `domains` or `mx`, not both; make it two rules",
            ),
            (false, true) => Ok(entry
                .domains
                .iter()
                .map(|one| one.get_ref().0.clone())
                .collect()),
            (true, false) => {
                let mx = entry
                    .mx
                    .iter()
                    .map(|one| Pattern::Mx(one.get_ref().0.clone()));
                Ok(mx.collect())
            }
        }
    }

    fn senders(&self) -> Result<Vec<SenderScope>, ConfigError> {
        match &self.entry().senders {
            None => Ok(vec![SenderScope::Anyone]),
            Some(senders) if senders.get_ref().is_empty() => self.wrong(
                &senders.span(),
                "`senders` is empty, so that the rule is for nobody; leave it out for everybody",
            ),
            Some(senders) => Ok(senders.get_ref().iter().map(|one| one.0.clone()).collect()),
        }
    }

    fn level(&self) -> Result<Level, ConfigError> {
        let entry = self.entry();
        self.check_company()?;
        Ok(match entry.tls.get_ref() {
            LevelWord::None => Level::None,
            LevelWord::May => Level::May,
            LevelWord::Encrypt => Level::Encrypt,
            LevelWord::Standard => Level::Standard(self.floor()),
            LevelWord::DaneOnly => Level::DaneOnly,
            LevelWord::Secure => self.secure()?,
            LevelWord::Fingerprint => self.fingerprint()?,
        })
    }

    fn floor(&self) -> Floor {
        let word = self.entry().floor.as_ref().map(|floor| *floor.get_ref());
        word.unwrap_or(FloorWord::May).into()
    }

    fn secure(&self) -> Result<Level, ConfigError> {
        let entry = self.entry();
        let matches = match &entry.matches {
            None => vec![NameMatch::Nexthop, NameMatch::DotNexthop],
            Some(words) if words.get_ref().is_empty() => {
                return self.wrong(
                    &words.span(),
                    "`match` is empty, so that no certificate could match; leave it out for nexthop, dot-nexthop",
                );
            }
            Some(words) => words.get_ref().iter().map(|word| word.0.clone()).collect(),
        };
        let roots = entry
            .ca_file
            .as_ref()
            .map(|file| tls::ca_file(file, self.source).map(Arc::new))
            .transpose()?;
        Ok(Level::Secure { matches, roots })
    }

    fn fingerprint(&self) -> Result<Level, ConfigError> {
        let prints = self.entry().fingerprints.as_ref();
        match prints.map(Spanned::get_ref) {
            Some(list) if !list.is_empty() => {
                Ok(Level::Fingerprint(list.iter().map(|print| print.0).collect()))
            }
            _ => self.wrong(
                &self.entry().tls.span(),
                "`tls = \"fingerprint\"` needs `fingerprints` (`waxseal check DOMAIN --connect` prints them)",
            ),
        }
    }

    /// Keys that mean something only beside certain levels.
    fn check_company(&self) -> Result<(), ConfigError> {
        let entry = self.entry();
        let level = *entry.tls.get_ref();
        let of_one_level = [
            ("floor", span(entry.floor.as_ref()), LevelWord::Standard),
            ("match", span(entry.matches.as_ref()), LevelWord::Secure),
            ("ca_file", span(entry.ca_file.as_ref()), LevelWord::Secure),
            (
                "fingerprints",
                span(entry.fingerprints.as_ref()),
                LevelWord::Fingerprint,
            ),
        ];
        for (key, span, needed) in of_one_level {
            if let Some(span) = span.filter(|_| level != needed) {
                let (needed, level) = (needed.word(), level.word());
                return self.wrong(&span, format!(
                    "`{key}` needs `tls = \"{needed}\"`, and this rule has `tls = \"{level}\"`; change the level or remove `{key}`"
                ));
            }
        }
        let lets_plaintext_out = match level {
            LevelWord::None | LevelWord::May => true,
            LevelWord::Standard => self.floor() == Floor::May,
            _ => false,
        };
        match span(entry.min_version.as_ref()) {
            Some(span) if lets_plaintext_out => self.wrong(
                &span,
                "`min_version` beside a level that allows plaintext would turn old TLS into plaintext; raise the level or remove `min_version`",
            ),
            _ => Ok(()),
        }
    }

    /// MX records can be forged, so what they lead to must never ask for less.
    fn check_mx(&self, level: &Level) -> Result<(), ConfigError> {
        let entry = self.entry();
        if entry.mx.is_empty() {
            return Ok(());
        }
        if matches!(
            level,
            Level::None | Level::May | Level::Standard(Floor::May)
        ) {
            return self.wrong(
                &entry.tls.span(),
                format!("an `mx` rule may only raise the level, because MX records can be forged, and this one allows plaintext ({level}); choose encrypt or more, or name the `domains`"),
            );
        }
        match span(entry.route.as_ref()) {
            Some(span) => self.wrong(
                &span,
                "an `mx` rule takes no `route`, because MX records can be forged; name the `domains`",
            ),
            None => Ok(()),
        }
    }

    fn instant(&self, date: &Spanned<Datetime>) -> Result<UnixTime, ConfigError> {
        let text = match date.get_ref() {
            Datetime {
                date: Some(date),
                time: None,
                ..
            } => format!("{date}T00:00:00Z"),
            other => other.to_string(),
        };
        match text.parse::<jiff::Timestamp>() {
            // A day before 1970 has passed just as well.
            Ok(instant) => Ok(UnixTime(u64::try_from(instant.as_second()).unwrap_or(0))),
            Err(_) => self.wrong(
                &date.span(),
                format!("`{text}` is not an instant; write a date (2030-12-31, midnight UTC) or a time with its offset (2030-12-31T18:00:00Z)"),
            ),
        }
    }
}

fn span<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
    value.map(Spanned::span)
}
