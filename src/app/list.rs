//! A list that is printed page by page: there may be many.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::Serialize;
use serde_json::json;

use crate::cli::print;

/// How a list looks.
pub(super) struct Layout<T> {
    /// The first line.
    pub(super) head: String,
    /// The line of one.
    pub(super) line: fn(&T) -> String,
    /// What is told where there is nothing.
    pub(super) none: &'static str,
}

/// Prints all pages, as lines for people or as one JSON object a line.
pub(super) async fn print_all<T: Serialize, K: FromStr, E>(
    layout: Layout<T>,
    as_json: bool,
    ask: impl AsyncFn(Option<K>) -> Result<(Vec<T>, Option<String>), E>,
) -> Result<(), E> {
    let mut after = None;
    let mut count = 0;
    loop {
        let (page, next) = ask(after).await?;
        if !as_json && count == 0 && !page.is_empty() {
            print(&layout.head);
        }
        count += page.len();
        print(&page.iter().fold(String::new(), |mut text, one| {
            if as_json {
                let _ = writeln!(text, "{}", json!(one));
            } else {
                text += &(layout.line)(one);
            }
            text
        }));
        // What cannot be a name cannot be behind the last one.
        after = next.and_then(|next| next.parse().ok());
        if after.is_none() {
            break;
        }
    }
    if !as_json && count == 0 {
        print(layout.none);
    }
    Ok(())
}
