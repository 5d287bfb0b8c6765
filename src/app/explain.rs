//! `waxseal explain`: the story of one delivery.
//!
//! A waxseal that runs remembers the last ones and is asked at its admin endpoint. What it does not remember is
//! looked for in the audit log, and in the files that were rotated away from it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use reqwest::Method;
use tokio::task::spawn_blocking;

use super::Error;
use super::remote::{No, Remote};
use crate::audit::Place;
use crate::cli::{ExplainArgs, print};
use crate::config::Config;
use crate::policy::delivery_id::DeliveryId;
use crate::record::{Line, Record};

/// Where an admin endpoint has the deliveries.
const PATH: &str = "/api/v1/deliveries";

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Nobody knows the delivery.
    #[error("no delivery {id} is known; {searched}")]
    Unknown {
        /// The delivery.
        id: DeliveryId,
        /// Who was asked, and what could be done.
        searched: String,
    },
    /// The waxseal that runs says no, in these words.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read.
    #[error("cannot read the audit log {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Finds the delivery and prints its story.
pub(super) async fn run(config: &Config, args: &ExplainArgs) -> Result<(), Error> {
    let record = find(config, args).await?;
    if args.json {
        let text = serde_json::to_string_pretty(&record);
        print(&format!("{}\n", text.unwrap_or_default()));
    } else {
        print(&record.story());
    }
    Ok(())
}

async fn find(config: &Config, args: &ExplainArgs) -> Result<Record, Error> {
    let id = args.id;
    let mut searched = Vec::new();
    if args.file.is_none() {
        match remembered(config, id).await? {
            Remembered::Yes(record) => return Ok(*record),
            Remembered::No => {
                searched.push("the waxseal that runs does not remember it".to_owned());
            }
            Remembered::NobodyThere => searched.push("no waxseal runs here".to_owned()),
        }
    }
    if let Some(log) = audit_log(config, args) {
        let path = log.clone();
        if let Some(record) = spawn_blocking(move || written(&path, id)).await?? {
            return Ok(record);
        }
        let log = log.display();
        searched.push(format!(
            "{log} and what was rotated away from it do not have it"
        ));
    } else {
        searched.push("there is no audit log to look into ([audit] file, or --file)".to_owned());
    }
    let searched = searched.join("; ");
    Err(ExplainError::Unknown { id, searched }.into())
}

enum Remembered {
    Yes(Box<Record>),
    No,
    NobodyThere,
}

async fn remembered(config: &Config, id: DeliveryId) -> Result<Remembered, Error> {
    let Some(desk) = Remote::find(config.admin.as_ref(), PATH).await? else {
        return Ok(Remembered::NobodyThere);
    };
    match desk.ask(Method::GET, &[&id.to_string()]).await {
        Ok(record) => Ok(Remembered::Yes(Box::new(record))),
        Err(No::NotFound) => Ok(Remembered::No),
        Err(No::Refused(why)) => Err(ExplainError::Refused(why).into()),
    }
}

fn audit_log(config: &Config, args: &ExplainArgs) -> Option<PathBuf> {
    match (&args.file, &config.audit.place) {
        (Some(file), _) | (None, Some(Place::File(file))) => Some(file.clone()),
        (None, Some(Place::Stdout) | None) => None,
    }
}

/// Looks into the log and its rotated siblings, the latest first; blocks.
fn written(log: &Path, id: DeliveryId) -> Result<Option<Record>, ExplainError> {
    for path in with_siblings(log) {
        let unreadable = |error| ExplainError::Unreadable {
            path: path.clone(),
            error,
        };
        let file = File::open(&path).map_err(unreadable)?;
        if let Some(record) = search(BufReader::new(file), id).map_err(unreadable)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The file, then `FILE.1`, `FILE-20261123` and the like.
fn with_siblings(log: &Path) -> Vec<PathBuf> {
    let mut siblings: Vec<(SystemTime, PathBuf)> = Vec::new();
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new(".")));
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if is_sibling(&path, log) {
            let modified = path.metadata().and_then(|data| data.modified());
            siblings.push((modified.unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
    siblings.sort_by(|one, other| other.cmp(one));
    std::iter::once(log.to_owned())
        .chain(siblings.into_iter().map(|(_, path)| path))
        .collect()
}

fn is_sibling(path: &Path, log: &Path) -> bool {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (Some(name), Some(log)) = (name(path), name(log)) else {
        return false;
    };
    let rest = name.strip_prefix(&log);
    rest.and_then(|rest| rest.strip_prefix(['.', '-']))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The last line about the delivery. A line that cannot be read is none of it.
fn search(mut lines: impl BufRead, id: DeliveryId) -> io::Result<Option<Record>> {
    let id = id.to_string();
    let (mut line, mut found) = (Vec::new(), None);
    while lines.read_until(b'\n', &mut line)? > 0 {
        // Most lines are about others, and need no parser.
        if memchr::memmem::find(&line, id.as_bytes()).is_some()
            && let Ok(Line::Delivery(record)) = serde_json::from_slice(&line)
            && record.id == id
        {
            found = Some(*record);
        }
        line.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
