//! The text of a Postfix policy table (`smtp_tls_policy_maps`), as postmap(1) reads it.
//!
//! An entry is a next hop, white space, a level and its attributes. A line that begins with white space goes on
//! with the entry before it; empty lines and comments are passed over, in the middle of an entry, too.

/// One entry, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// The next hop, in lower case.
    pub(super) key: String,
    /// Level and attributes.
    pub(super) value: String,
}

/// All entries in the order of the text.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut logical: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match logical.last_mut() {
            Some((_, begun)) if line.starts_with(char::is_whitespace) => {
                begun.push(' ');
                begun.push_str(bare);
            }
            _ => logical.push((number, bare.to_owned())),
        }
    }
    logical.into_iter().map(entry).collect()
}

fn entry((line, text): (usize, String)) -> Entry {
    let (key, value) = text
        .split_once(char::is_whitespace)
        .unwrap_or((text.as_str(), ""));
    Entry {
        line,
        key: key.to_lowercase(),
        value: value.trim().to_owned(),
    }
}

/// The words of a value: parted by blanks and commas, but for what stands in braces.
pub(super) fn words(value: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(is_gap);
        if rest.is_empty() {
            return words;
        }
        let end = match rest.strip_prefix('{') {
            Some(inner) => inner.find('}').map_or(rest.len(), |at| at + 2),
            None => rest.find(is_gap).unwrap_or(rest.len()),
        };
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || c == ','
}

/// `name=value`, or `{ name = value }`.
pub(super) fn attribute(word: &str) -> Option<(String, &str)> {
    let bare = word
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(word);
    let (name, value) = bare.split_once('=')?;
    Some((name.trim().to_lowercase(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_and_comments_do_not_count() {
        let text = "# all\nA.example encrypt\n\n.b.example\tsecure\n# between\n  match=x.example\n\t ciphers=high\nc.example\n";
        let read: Vec<(usize, String, String)> = entries(text)
            .into_iter()
            .map(|one| (one.line, one.key, one.value))
            .collect();
        let want = |line, key: &str, value: &str| (line, key.to_owned(), value.to_owned());
        assert_eq!(
            read,
            [
                want(2, "a.example", "encrypt"),
                want(4, ".b.example", "secure match=x.example ciphers=high"),
                want(8, "c.example", ""),
            ]
        );
    }

    #[test]
    fn words_are_parted_by_blanks_and_commas_outside_braces() {
        let value = "secure match=a:b,servername=c { policy_string = mode: enforce } {open";
        assert_eq!(
            words(value),
            [
                "secure",
                "match=a:b",
                "servername=c",
                "{ policy_string = mode: enforce }",
                "{open"
            ]
        );
        let name = |word| attribute(word).map(|(name, value)| format!("{name}|{value}"));
        assert_eq!(
            name("{ policy_string = mode: enforce }").unwrap(),
            "policy_string|mode: enforce"
        );
        assert_eq!(name("Protocols=>=TLSv1.2").unwrap(), "protocols|>=TLSv1.2");
        assert_eq!(name("none"), None);
    }
}
