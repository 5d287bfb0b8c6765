//! A `[[rule]]` on its way into a file: the words as somebody typed them, not yet judged. Reading the file judges.

use serde::Serialize;
use toml_edit::{ArrayOfTables, Datetime, DocumentMut, Item, Table};

use crate::policy::handshake::TlsVersion;
use crate::policy::requirement::Mode;
use crate::policy::rules::{Level, MtaStsUse, NameMatch, Pattern, Rule, SenderScope, ServerName};

/// One `[[rule]]`, by its keys; what is empty is left out.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "policies/50-partners.toml explains the keys")]
pub struct Draft {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mx: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<String>,
    pub tls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servername: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mta_sts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Datetime>,
}

impl Draft {
    /// The keys of a rule.
    pub fn of(rule: &Rule) -> Self {
        let mut draft = Self {
            min_version: (rule.min_version == TlsVersion::Tls13).then(|| "1.3".to_owned()),
            mta_sts: (rule.mta_sts == MtaStsUse::Ignored).then_some(false),
            route: rule.route.as_ref().map(ToString::to_string),
            mode: (rule.mode == Mode::Observe).then(|| Mode::Observe.word().to_owned()),
            reason: rule.reason.clone(),
            expires: rule.expires.and_then(|at| at.to_string().parse().ok()),
            ..Self::default()
        };
        if rule.server_name != ServerName::Hostname {
            draft.servername = Some(rule.server_name.to_string());
        }
        if rule.sender != SenderScope::Anyone {
            draft.senders = vec![rule.sender.to_string()];
        }
        match &rule.pattern {
            Pattern::Mx(pattern) => draft.mx = vec![pattern.to_string()],
            pattern => draft.domains = vec![pattern.to_string()],
        }
        draft.level(&rule.level);
        draft
    }

    fn level(&mut self, level: &Level) {
        let word = match level {
            Level::Standard(floor) => {
                self.floor = Some(floor.word().to_owned());
                "standard".to_owned()
            }
            Level::Secure { matches, roots } => {
                self.matches = matches.iter().map(NameMatch::to_string).collect();
                self.ca_file = roots.as_ref().map(|roots| roots.source.clone());
                level.to_string()
            }
            Level::Fingerprint(prints) => {
                self.fingerprints = prints.iter().map(ToString::to_string).collect();
                level.to_string()
            }
            _ => level.to_string(),
        };
        self.tls = word;
    }

    /// Writes the rule behind those of a file, below whole lines such as a comment.
    pub fn append(&self, file: &mut DocumentMut, above: &str) -> Result<(), toml_edit::ser::Error> {
        let mut table: Table = toml_edit::ser::to_document(self)?.as_table().clone();
        table.decor_mut().set_prefix(above);
        let rules = file
            .entry("rule")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        match rules.as_array_of_tables_mut() {
            Some(rules) => rules.push(table),
            None => {
                return Err(serde::ser::Error::custom(
                    "its rules stand in one array; write each as a [[rule]] of its own",
                ));
            }
        }
        Ok(())
    }
}
