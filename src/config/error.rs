//! What is wrong with a configuration or rule file: where, what, and what to do about it.
//!
//! serde and toml find most mistakes, and say so in the words of a programmer. [`Source::explain`]
//! puts them into the words of an operator, and suggests the key that was probably meant.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A mistake in a configuration or rule file, or a file that cannot be read. Prints as
/// `waxseal.toml:12:8: unknown key ...; did you mean ...?`
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, if the mistake is in one.
    pub file: Option<PathBuf>,
    /// Where in the file.
    pub position: Option<Position>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl ConfigError {
    /// A mistake that is about a whole file.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            position: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(Position { line, column }) = self.position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

/// A text and the file that it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line and column of an offset.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }

    /// A mistake at `span`.
    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: Some(self.file.to_owned()),
            position: Some(self.position(span.start)),
            message: message.into(),
        }
    }

    /// A path as written, seen from the folder of the file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// What toml or serde found wrong, in the operator's words.
    pub(super) fn explain(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let message = match Complaint::read(error.message()) {
            Complaint::UnknownKey(key, known) => format!(
                "unknown key `{key}` {}; {}",
                self.section(span.start),
                suggestion(key, &known)
            ),
            Complaint::UnknownWord(word, known) => {
                format!("unknown word `{word}`; write one of: {}", known.join(", "))
            }
            Complaint::MissingKey(key) => {
                format!("`{key}` is missing {}; add it", self.section(span.start))
            }
            Complaint::Other(text) => text.replace('\n', ", "),
        };
        self.error(&span, message)
    }

    /// The section that holds `offset`, such as `in [mx]` or `in [[listener]]`.
    fn section(&self, offset: usize) -> String {
        let Ok(table) = DeTable::parse(self.text) else {
            return "here".to_owned();
        };
        match section_of(table.get_ref(), offset) {
            Some(section) => format!("in {section}"),
            None => "at the top level".to_owned(),
        }
    }
}

fn section_of(table: &DeTable<'_>, offset: usize) -> Option<String> {
    if has_key_at(table, offset) {
        return None;
    }
    let holds = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(inner) => value.span().contains(&offset) || has_key_at(inner, offset),
        _ => false,
    };
    table
        .iter()
        .find_map(|(name, value)| match value.get_ref() {
            DeValue::Table(_) if holds(value) => Some(format!("[{}]", name.get_ref())),
            DeValue::Array(items) if items.iter().any(holds) => {
                Some(format!("[[{}]]", name.get_ref()))
            }
            _ => None,
        })
}

fn has_key_at(table: &DeTable<'_>, offset: usize) -> bool {
    table.keys().any(|key| key.span().contains(&offset))
}

/// serde has no structured errors; these are its own words, which the tests pin down.
enum Complaint<'a> {
    UnknownKey(&'a str, Vec<&'a str>),
    UnknownWord(&'a str, Vec<&'a str>),
    MissingKey(&'a str),
    Other(&'a str),
}

impl<'a> Complaint<'a> {
    fn read(message: &'a str) -> Self {
        let mut quoted = message.split('`').skip(1).step_by(2);
        let first = quoted.next().unwrap_or_default();
        if message.starts_with("unknown field") {
            Self::UnknownKey(first, quoted.collect())
        } else if message.starts_with("unknown variant") {
            Self::UnknownWord(first, quoted.collect())
        } else if message.starts_with("missing field") {
            Self::MissingKey(first)
        } else {
            Self::Other(message)
        }
    }
}

fn suggestion(wrong: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|word| distance(wrong, word));
    match nearest {
        // A third of the letters may be wrong before a suggestion is more noise than help.
        Some(word) if distance(wrong, word) <= wrong.chars().count().max(3) / 3 => {
            format!("did you mean `{word}`?")
        }
        _ => format!("known keys: {}", known.join(", ")),
    }
}

/// The edit distance of two words: insertions, removals, replacements, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_words() {
        assert_eq!(distance("port", "port"), 0);
        assert_eq!(distance("portt", "port"), 1);
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("", "port"), 4);
    }

    #[test]
    fn columns_count_characters() {
        let source = Source {
            file: Path::new("x"),
            text: "a\nüü b",
        };
        let position = source.position(source.text.len() - 1);
        assert_eq!(position, Position { line: 2, column: 4 });
    }
}
