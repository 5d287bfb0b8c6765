//! The rules that commands write: one file of their own in the folder of the rules.
//!
//! What people write stays theirs: other files are never touched, and in this one nothing is deleted and comments
//! stay. A rule that is no longer wanted gets a day on which it has expired. Whatever is written is read first, with
//! all other files, as `waxseal config check` would: a set that does not load never takes the place of one that does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use toml_edit::{Datetime, DocumentMut, Item, value};

use super::draft::Draft;
use super::error::{ConfigError, Source};
use super::rule_file::{DomainPattern, MxHosts, RuleFile, Sender};
use super::rules::{Replacement, read_rules_with};
use super::{Config, Policies, RuleSet};
use crate::policy::rules::{Origin, Pattern, Rule, SenderScope};
use crate::time::UnixTime;

/// The name of the file: behind the files of people, so that `rule list` shows it last.
pub(super) const BY_HAND: &str = "80-by-hand.toml";

const HEAD: &str = "\
# Rules of `waxseal rule add`. Edit this file as you like: the command keeps what it finds, and deletes nothing.
";

/// Why rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The set would not load.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is not known where the waxseal that runs has its rules.
    #[error(
        "there is no configuration file and no folder `{}` here; go where waxseal runs, or name its configuration with --config",
        .0.display()
    )]
    Nowhere(PathBuf),
    /// No rule is about that.
    #[error("{0}")]
    Unknown(String),
    /// The rule stands where people write.
    #[error(
        "the rule for {pattern} stands at {}, which people write; put `expires = {now}` there",
        place.display()
    )]
    Elsewhere {
        /// What it is about.
        pattern: Pattern,
        /// File and line.
        place: PathBuf,
        /// The time to write.
        now: UnixTime,
    },
    /// The rule is about more than what was named.
    #[error("the rule at {origin} is also for {others}; name all of them, or edit the file")]
    Shared {
        /// Where it stands.
        origin: Origin,
        /// What else it is about.
        others: String,
    },
    /// There is nothing left to do.
    #[error("the rule at {origin} has expired already, on {at}")]
    Expired {
        /// Where it stands.
        origin: Origin,
        /// Since when.
        at: UnixTime,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Which rules: destinations, by domain or by MX host, and senders.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// As in `domains`.
    pub domains: Vec<String>,
    /// As in `mx`.
    pub mx: Vec<String>,
    /// As in `senders`; empty = the rules for everybody.
    pub senders: Vec<String>,
}

impl Scope {
    /// One for each pattern and sender.
    fn pairs(&self) -> Result<Vec<(Pattern, SenderScope)>, String> {
        let domains = self.domains.iter().map(|text| {
            let DomainPattern(pattern) = text.parse()?;
            Ok(pattern)
        });
        let mx = self.mx.iter().map(|text| {
            let MxHosts(pattern) = text.parse()?;
            Ok(Pattern::Mx(pattern))
        });
        let patterns: Vec<Pattern> = domains.chain(mx).collect::<Result<_, String>>()?;
        let senders = self.senders.iter().map(|text| {
            let Sender(scope) = text.parse()?;
            Ok(scope)
        });
        let mut senders: Vec<SenderScope> = senders.collect::<Result<_, String>>()?;
        if senders.is_empty() {
            senders.push(SenderScope::Anyone);
        }
        let pair = |pattern: &Pattern, sender: &SenderScope| (pattern.clone(), sender.clone());
        let pairs = patterns
            .iter()
            .flat_map(|pattern| senders.iter().map(move |sender| pair(pattern, sender)));
        Ok(pairs.collect())
    }
}

/// The file, locked against other commands until this is dropped.
#[derive(Debug)]
pub struct ByHand<'a> {
    config: &'a Config,
    now: UnixTime,
    path: PathBuf,
    document: DocumentMut,
    /// The set before.
    set: RuleSet,
    _turn: File,
}

impl<'a> ByHand<'a> {
    /// Reads the file, if there is one, and all others.
    pub fn open(config: &'a Config, now: UnixTime) -> Result<Self, RuleError> {
        let folder = config.policies.folder();
        let path = folder.join(BY_HAND);
        let failed = |error| RuleError::Write {
            path: path.clone(),
            error,
        };
        if matches!(config.policies, Policies::Default(_)) && !folder.exists() {
            if config.source.is_none() {
                return Err(RuleError::Nowhere(folder.to_owned()));
            }
            fs::create_dir(folder).map_err(failed)?;
        }
        let turn = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
        // Of a folder that is missing the configuration tells more.
        let set = read_rules_with(config, now, None)?;
        let turn = turn.map_err(failed)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        let document = text
            .parse::<DocumentMut>()
            .map_err(|error| ConfigError::of_file(&path, error.to_string()))?;
        Ok(Self {
            config,
            now,
            path,
            document,
            set,
            _turn: turn,
        })
    }

    /// Adds a rule behind those of the file.
    pub fn add(&mut self, draft: &Draft) -> Result<(), RuleError> {
        // Comments at the end of the file stay where they are, above the rule that now follows them.
        let trailing = self.document.trailing().as_str().unwrap_or_default();
        let above = format!("{trailing}\n");
        self.document.set_trailing("");
        draft
            .append(&mut self.document, &above)
            .map_err(|error| ConfigError::of_file(&self.path, error.to_string()).into())
    }

    /// Lets rules of the file expire now; tells where they stand.
    pub fn expire(&mut self, scope: &Scope) -> Result<Vec<Origin>, RuleError> {
        let pairs = scope.pairs().map_err(RuleError::Unknown)?;
        let mut origins: Vec<Origin> = Vec::new();
        for (pattern, sender) in &pairs {
            let origin = self.in_force(pattern, sender)?;
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        for origin in &origins {
            self.must_be_named(origin, &pairs)?;
            self.end(origin)?;
        }
        Ok(origins)
    }

    /// The rule that is in force for this pattern and sender; it must be one of this file.
    fn in_force(&self, pattern: &Pattern, sender: &SenderScope) -> Result<Origin, RuleError> {
        let same = |rule: &&Rule| rule.pattern == *pattern && rule.sender == *sender;
        let all = || self.set.rules.iter().filter(same);
        let Some(rule) = all().find(|rule| !rule.has_expired(self.now)) else {
            let expired = all().find_map(|rule| Some((rule.origin.clone(), rule.expires?)));
            return Err(match expired {
                Some((origin, at)) => RuleError::Expired { origin, at },
                None => self.unknown(pattern),
            });
        };
        if *rule.origin.file == *BY_HAND {
            return Ok(rule.origin.clone());
        }
        let folder = self.config.policies.folder();
        Err(RuleError::Elsewhere {
            pattern: pattern.clone(),
            place: folder.join(rule.origin.to_string()),
            now: self.now,
        })
    }

    fn unknown(&self, pattern: &Pattern) -> RuleError {
        let others = self
            .set
            .rules
            .iter()
            .filter(|rule| rule.pattern == *pattern);
        let others: Vec<String> = others
            .map(|rule| format!("for mail from {} at {}", rule.sender, rule.origin))
            .collect();
        RuleError::Unknown(if others.is_empty() {
            format!("there is no rule for {pattern}; `waxseal rule list` prints all rules")
        } else {
            format!(
                "there is no such rule for {pattern}, but one {}; choose with --sender",
                others.join(", one ")
            )
        })
    }

    /// A day of expiry is for all of a rule.
    fn must_be_named(
        &self,
        origin: &Origin,
        pairs: &[(Pattern, SenderScope)],
    ) -> Result<(), RuleError> {
        let is_named = |rule: &&Rule| {
            let mut named = pairs.iter();
            named.any(|(pattern, sender)| rule.pattern == *pattern && rule.sender == *sender)
        };
        let rules = self.set.rules.iter().filter(|rule| rule.origin == *origin);
        let others: Vec<String> = rules
            .filter(|rule| !is_named(rule))
            .map(|rule| match rule.sender {
                SenderScope::Anyone => rule.pattern.to_string(),
                _ => format!("{} from {}", rule.pattern, rule.sender),
            })
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        Err(RuleError::Shared {
            origin: origin.clone(),
            others: others.join(", "),
        })
    }

    fn end(&mut self, origin: &Origin) -> Result<(), RuleError> {
        let wrong = |what: &str| ConfigError::of_file(&self.path, what);
        let mut lines: Vec<usize> = self
            .set
            .rules
            .iter()
            .filter(|rule| rule.origin.file == origin.file)
            .map(|rule| rule.origin.line)
            .collect();
        lines.dedup();
        let at = lines.iter().position(|line| *line == origin.line);
        let now: Datetime = self
            .now
            .to_string()
            .parse()
            .map_err(|_| wrong("the clock tells no time that TOML could write"))?;
        let rules = self.document.get_mut("rule");
        let table = rules
            .and_then(Item::as_array_of_tables_mut)
            .zip(at)
            .and_then(|(rules, at)| rules.get_mut(at))
            .ok_or_else(|| wrong("its rules stand in one array; write each as a [[rule]]"))?;
        match table.get_mut("expires").and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = now.into();
                *old.decor_mut() = decor;
            }
            None => {
                table.insert("expires", value(now));
            }
        }
        Ok(())
    }

    /// Puts the file in place, if the whole set loads with it.
    pub fn store(self) -> Result<Stored, RuleError> {
        let text = self.document.to_string();
        let replacement = Replacement {
            file: &self.path,
            text: &text,
        };
        let set = read_rules_with(self.config, self.now, Some(replacement))?;
        put(&self.path, &text).map_err(|error| RuleError::Write {
            path: self.path.clone(),
            error,
        })?;
        let mut warnings = set.warnings.clone();
        warnings.retain(|warning| !self.set.warnings.contains(warning));
        Ok(Stored {
            path: self.path,
            set,
            warnings,
        })
    }
}

/// What is in place now.
#[derive(Debug)]
pub struct Stored {
    /// The file.
    pub path: PathBuf,
    /// All rules.
    pub set: RuleSet,
    /// What there was no warning of before.
    pub warnings: Vec<String>,
}

impl Stored {
    /// Where the last rule of the file stands: the one that was added.
    pub fn last(&self) -> Option<&Origin> {
        let origins = self.set.rules.iter().map(|rule| &rule.origin);
        origins.filter(|origin| *origin.file == *BY_HAND).last()
    }
}

/// Whether a text would be read as a rule file at this place; with all others, where it is in their folder.
pub fn check_rule_file(
    config: &Config,
    now: UnixTime,
    file: &Path,
    text: &str,
) -> Result<(), ConfigError> {
    let folder = |path: &Path| fs::canonicalize(path).ok();
    let own = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if folder(own.unwrap_or(Path::new("."))) == folder(config.policies.folder()) {
        let name = file.file_name().unwrap_or_default();
        let file = &config.policies.folder().join(name);
        return read_rules_with(config, now, Some(Replacement { file, text })).map(|_| ());
    }
    let source = Source { file, text };
    toml::from_str::<RuleFile>(text)
        .map(|_| ())
        .map_err(|error| source.explain(&error))
}

/// Writes a file in one step: whoever reads meanwhile sees the old one or the new one, whole.
pub fn put(path: &Path, text: &str) -> io::Result<()> {
    // A link goes on leading where it leads.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Hidden files are no rule files.
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let (owner, mode) = match fs::metadata(&path) {
        Ok(old) => (old.clone(), old.permissions().mode()),
        Err(_) => (fs::metadata(folder)?, 0o644),
    };
    // Nobody but root can give files away, and nobody but root has to.
    let _ = fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()));
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    File::open(folder)?.sync_all()
}
