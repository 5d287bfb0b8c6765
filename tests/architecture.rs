//! The floors of the house: who may import whom, what a pure floor must not name, and how an RFC is
//! cited. Everything is read from the text of `src/`, by pure functions that have tests of their own.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the crate and its floor. A module may import its own floor and those below.
const FLOORS: [(&str, u8); 31] = [
    ("name", 0),
    ("time", 0),
    ("x509", 0),
    ("dns", 1),
    ("mtasts", 1),
    ("dane", 1),
    ("smtp", 1),
    ("socks", 1),
    ("tlsrpt", 1),
    ("socketmap", 1),
    ("policy", 2),
    ("record", 2),
    ("usage", 3),
    ("net", 3),
    ("store", 3),
    ("discover", 4),
    ("proxy", 5),
    ("mapserver", 5),
    ("reporter", 5),
    ("admin", 5),
    ("metrics", 5),
    ("journal", 5),
    ("audit", 5),
    ("config", 6),
    ("app", 6),
    ("check", 6),
    ("simulate", 6),
    ("doctor", 6),
    ("firewall", 6),
    ("cli", 6),
    ("log", 6),
];

/// Vocabularies that `policy` joins and that know nothing of each other.
const STRANGERS: [&str; 4] = ["smtp", "dane", "mtasts", "tlsrpt"];

/// The highest floor that is pure, and what its code must not name.
const PURE: u8 = 2;
const IMPURE: [&str; 9] = [
    "tokio",
    "tracing",
    "prometheus",
    "fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "SystemTime",
    "Instant",
];

fn floor(module: &str) -> Option<u8> {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.map(|(_, floor)| *floor)
}

/// One source file: its path below `src/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The top-level module, such as `policy` for `policy/rules.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super` lead from the file to the root of the crate.
    fn depth(&self) -> usize {
        let steps = self.path.split('/').count();
        steps - usize::from(self.path.ends_with("/mod.rs"))
    }

    /// The code without comments and without the tests at its end.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]\nmod tests {").next();
        let lines = text.unwrap_or_default().lines();
        let code = lines.map(|line| line.split("//").next().unwrap_or_default());
        code.collect::<Vec<_>>().join("\n")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn first_word(text: &str) -> &str {
    text.trim_start()
        .split(|c| !is_word(c))
        .next()
        .unwrap_or_default()
}

/// The modules that `text` names: the first word, or those of a group in braces.
fn named(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        return vec![first_word(text).to_owned()];
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(first_word(&group[start..at]).to_owned());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The modules of the crate that a file imports or names by path.
fn imports(source: &Source) -> Vec<String> {
    let code = source.code();
    let root = "super::".repeat(source.depth());
    let by_crate = code
        .match_indices("crate::")
        .map(|(at, path)| at + path.len());
    let by_super = code
        .match_indices(&root)
        .filter(|(at, _)| !code[..*at].ends_with("super::"))
        .map(|(at, path)| at + path.len());
    by_crate
        .chain(by_super)
        .flat_map(|at| named(&code[at..]))
        // `use super::*` of a test names nothing; macros of the crate have no module.
        .filter(|name| !name.is_empty() && *name != "super")
        .collect()
}

/// Imports that go up, or to a neighbour that is none of the importer's business.
fn wrong_imports(source: &Source) -> Vec<String> {
    let from = source.module();
    let Some(own) = floor(from) else {
        return vec![format!(
            "{}: `{from}` has no floor; add it to FLOORS",
            source.path
        )];
    };
    let wrong = |to: &String| {
        let strangers = STRANGERS.contains(&from) && STRANGERS.contains(&to.as_str());
        let why = match floor(to) {
            _ if to == from => return None,
            None => "has no floor",
            Some(other) if other > own => "is on a higher floor",
            Some(5) if own == 5 => "is another room of the same floor",
            Some(_) if strangers => "is another protocol; `policy` joins them",
            Some(_) => return None,
        };
        Some(format!("{}: imports `{to}`, which {why}", source.path))
    };
    imports(source).iter().filter_map(wrong).collect()
}

/// What a pure floor names although it must not.
fn impurities(source: &Source) -> Vec<String> {
    if floor(source.module()).is_none_or(|floor| floor > PURE) || source.path == "time.rs" {
        return Vec::new();
    }
    let code = source.code();
    let words: Vec<&str> = code.split(|c| !is_word(c)).collect();
    let named = IMPURE.iter().filter(|word| words.contains(word));
    named
        .map(|word| format!("{}: is pure, yet names `{word}`", source.path))
        .collect()
}

/// Citations in comments that are not spelt `RFC 8461` or `RFC 8461 §3.3`.
fn wrong_citations(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let Some((_, comment)) = line.split_once("//") else {
            continue;
        };
        if !is_well_cited(comment) {
            wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
        }
    }
    wrong
}

fn is_well_cited(comment: &str) -> bool {
    let lower = comment.to_ascii_lowercase();
    let citations = lower.match_indices("rfc").filter(|(at, _)| {
        let rest = lower[at + 3..].trim_start_matches([' ', '-']);
        let begins = !lower[..*at].ends_with(is_word);
        begins && rest.starts_with(|c: char| c.is_ascii_digit())
    });
    let sections = comment.split('§').skip(1);
    citations.map(|(at, _)| &comment[at..]).all(is_citation)
        && sections
            .into_iter()
            .all(|text| text.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_citation(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("RFC ") else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = rest.trim_start_matches([' ', ',']).to_ascii_lowercase();
    let spelt_out = after.starts_with("section") || after.starts_with("sec.");
    let squeezed = rest.starts_with('§') || rest.starts_with(", §");
    !spelt_out && !squeezed
}

#[expect(clippy::unwrap_used, reason = "part of a test")]
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                sources.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The files of the floors: not the roots of library and program, which know everything, and no tests.
fn floor_files() -> Vec<Source> {
    let mut sources = sources();
    sources.retain(|source| {
        let is_root = ["lib.rs", "main.rs"].contains(&source.path.as_str());
        !is_root && !source.path.ends_with("tests.rs")
    });
    sources
}

#[test]
fn nobody_imports_upward_or_sideways() {
    let files = floor_files();
    let found: usize = files.iter().map(|file| imports(file).len()).sum();
    for file in &files {
        println!(
            "{} (floor {:?}): {}",
            file.path,
            floor(file.module()),
            imports(file).join(" ")
        );
    }
    // A test that reads nothing proves nothing.
    assert!(
        files.len() >= 20 && found >= 60,
        "{} files, {found} imports",
        files.len()
    );
    let wrong: Vec<String> = files.iter().flat_map(wrong_imports).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_floors_know_no_socket_clock_log_or_file() {
    let files = floor_files();
    let pure = files
        .iter()
        .filter(|file| floor(file.module()).is_some_and(|floor| floor <= PURE));
    assert!(pure.count() >= 10);
    let wrong: Vec<String> = files.iter().flat_map(impurities).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rfcs_are_cited_in_one_spelling() {
    let sources = sources();
    let cited: usize = sources
        .iter()
        .map(|source| source.text.matches("RFC ").count())
        .sum();
    println!("{cited} citations");
    assert!(cited >= 30, "{cited}");
    let wrong: Vec<String> = sources.iter().flat_map(wrong_citations).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_planted_import_is_found() {
    let wrong = |path: &str, text: &str| wrong_imports(&Source::new(path, text));
    let up = "policy/rules.rs: imports `net`, which is on a higher floor";
    assert_eq!(
        wrong("policy/rules.rs", "use crate::net::dial::Dialer;"),
        [up]
    );
    assert_eq!(
        wrong(
            "policy/rules.rs",
            "use crate::{\n    name::{Domain, Host},\n    net,\n};"
        ),
        [up]
    );
    assert_eq!(wrong("policy/rules.rs", "fn f() { crate::net::x() }"), [up]);
    assert_eq!(wrong("policy/rules.rs", "use super::super::net;"), [up]);
    assert_eq!(
        wrong("journal.rs", "use super::metrics::Metrics;"),
        ["journal.rs: imports `metrics`, which is another room of the same floor"]
    );
    assert_eq!(
        wrong("dane/mod.rs", "use crate::smtp::reply::Reply;"),
        ["dane/mod.rs: imports `smtp`, which is another protocol; `policy` joins them"]
    );
    assert_eq!(
        wrong("attic.rs", ""),
        ["attic.rs: `attic` has no floor; add it to FLOORS"]
    );
    let fine = "use super::decide;\nuse crate::name::Host; // crate::net\n#[cfg(test)]\nmod tests {\nuse crate::net;";
    assert!(wrong("policy/rules.rs", fine).is_empty());
}

#[test]
fn a_planted_impurity_is_found() {
    let wrong = |path: &str, text: &str| impurities(&Source::new(path, text));
    assert_eq!(
        wrong(
            "smtp/line.rs",
            "use std::{fs, io};\nuse tokio::io::AsyncRead;"
        ),
        [
            "smtp/line.rs: is pure, yet names `tokio`",
            "smtp/line.rs: is pure, yet names `fs`"
        ]
    );
    assert!(wrong("smtp/line.rs", "// tokio reads the lines\nlet fs_x = 1;").is_empty());
    assert!(wrong("net/dial.rs", "use tokio::net::TcpStream;").is_empty());
}

#[test]
fn a_planted_citation_is_found() {
    for good in [
        " RFC 8461 §3.3: not followed.",
        " (RFC 5321's own words, RFC 7505 §3)",
        " rfc in passing",
        "! §5.1: the second line of a citation",
    ] {
        assert!(is_well_cited(good), "{good}");
    }
    for bad in [
        " RFC8461 §3.3",
        " rfc 8461",
        " RFC-8461",
        " RFC 8461§3",
        " RFC 8461, §3",
        " RFC 8461 § 3",
        " RFC 8461 section 3",
        " RFC 8461, Section 3",
    ] {
        assert!(!is_well_cited(bad), "{bad}");
    }
}
