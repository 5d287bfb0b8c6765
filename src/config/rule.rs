//! From one `[[rule]]` as written to rules as meant, and what may not stand side by side.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::value::Datetime;

use super::error::{ConfigError, Source};
use super::rule_file::{Entry, FloorWord, LevelWord};
use super::tls;
use crate::policy::handshake::TlsVersion;
use crate::policy::rules::{
    Floor, Hits, Level, MtaStsUse, NameMatch, Origin, Pattern, Rule, SenderScope, ServerName,
};
use crate::time::UnixTime;

/// One `[[rule]]` on its way to rules.
pub(super) struct Reader<'a> {
    pub(super) entry: &'a Spanned<Entry>,
    pub(super) source: Source<'a>,
}

impl Reader<'_> {
    fn entry(&self) -> &Entry {
        self.entry.get_ref()
    }

    fn wrong<T>(&self, span: &Range<usize>, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(self.source.error(span, message))
    }

    /// One for each pattern and sender.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, ConfigError> {
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
            mta_sts: self.mta_sts(),
            server_name: entry
                .servername
                .as_ref()
                .map_or(ServerName::Hostname, |word| word.get_ref().0.clone()),
            route: entry.route.as_ref().map(|route| route.get_ref().0.clone()),
            mode: entry.mode.into(),
            reason: entry.reason.clone(),
            expires,
            origin: self.origin(),
            hits: Hits::default(),
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

    fn mta_sts(&self) -> MtaStsUse {
        match self.entry().mta_sts.as_ref().map(Spanned::get_ref) {
            Some(false) => MtaStsUse::Ignored,
            Some(true) | None => MtaStsUse::Followed,
        }
    }

    fn secure(&self) -> Result<Level, ConfigError> {
        let entry = self.entry();
        let matches = match &entry.matches {
            None => vec![NameMatch::Nexthop, NameMatch::DotNexthop],
            Some(words) if words.get_ref().0.is_empty() => {
                return self.wrong(
                    &words.span(),
                    "`match` is empty, so that no certificate could match; leave it out for nexthop, dot-nexthop",
                );
            }
            Some(words) => words
                .get_ref()
                .0
                .iter()
                .map(|word| word.0.clone())
                .collect(),
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
            ("mta_sts", span(entry.mta_sts.as_ref()), LevelWord::Standard),
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
