//! Golden texts: what is expected stands in a file that people read and review.

use std::path::Path;

/// Compares `actual` with the file `name` of `tests/data`.
///
/// # Panics
/// Where they differ: with the lines that do, and with the actual text in `target/`, to be reviewed and copied.
pub(crate) fn compare(name: &str, actual: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = read(name);
    if expected == actual {
        return;
    }
    let copy = Path::new("target").join(name);
    std::fs::write(root.join(&copy), actual).unwrap();
    panic!(
        "tests/data/{name} differs (- expected, + actual; all of the actual text is in {}):\n{}",
        copy.display(),
        difference(&expected, actual)
    );
}

/// The text of the file `name` of `tests/data`; empty where there is none yet.
pub(crate) fn read(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read_to_string(file.join(name)).unwrap_or_default()
}

/// The lines that differ, with one line before each difference.
fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let common = common_lengths(&old, &new);
    let (mut at, mut to, mut out, mut quiet) = (0, 0, Vec::new(), true);
    while at < old.len() || to < new.len() {
        let differs = old.get(at) != new.get(to);
        if differs && quiet && at > 0 {
            out.push(format!("  {}", old[at - 1]));
        }
        quiet = !differs;
        if !differs {
            (at, to) = (at + 1, to + 1);
        } else if to == new.len() || (at < old.len() && common[at + 1][to] >= common[at][to + 1]) {
            out.push(format!("- {}", old[at]));
            at += 1;
        } else {
            out.push(format!("+ {}", new[to]));
            to += 1;
        }
    }
    out.join("\n")
}

/// The longest common subsequence of each pair of tails.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut lengths = vec![vec![0; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            lengths[at][to] = if old[at] == new[to] {
                lengths[at + 1][to + 1] + 1
            } else {
                lengths[at + 1][to].max(lengths[at][to + 1])
            };
        }
    }
    lengths
}

#[test]
fn a_difference_shows_what_was_and_what_is() {
    assert_eq!(
        difference("a\nb\nc\nd", "a\nx\nc\nd\ne"),
        "  a\n- b\n+ x\n  d\n+ e"
    );
}
