//! The TXT record that tells of a policy (RFC 8461 §3.1).
//!
//! `v=STSv1; id=20160831085700Z;`: the version first, then fields in any order. Other TXT records may
//! stand at the same name, such as those of a wildcard; they are passed over. Exactly one of ours must
//! remain, and it must be well-formed to its end. Whatever is wrong, there is then no policy *discovered*,
//! which says nothing about a policy that is remembered.

use std::str::FromStr;

use super::{PolicyId, excerpt};

/// The longest record that is read, in octets; far above what fields that mean anything need.
pub const MAX_RECORD: usize = 4096;

/// The longest id (RFC 8461 §3.1).
const MAX_ID: usize = 32;

/// Why the TXT records tell of no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// None of them is one of ours.
    #[error("there is no TXT record that begins with \"v=STSv1;\"")]
    None,
    /// More than one is.
    #[error("there is more than one TXT record that begins with \"v=STSv1;\"")]
    Several,
    /// The only one is malformed; why, for people.
    #[error("the TXT record is malformed: {0}")]
    Invalid(String),
}

/// Why a text is not the id of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 32 letters and digits")]
pub struct NotAnId;

impl FromStr for PolicyId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        // RFC 8461 §3.1: 1*32(ALPHA / DIGIT).
        let good = (1..=MAX_ID).contains(&text.len())
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        good.then(|| Self(text.into())).ok_or(NotAnId)
    }
}

/// The id in the TXT records at [`super::record_name`]. Each element is one record, its strings joined
/// without a separator (RFC 8461 §3.1).
///
/// # Errors
/// Where no policy is discovered. The look-up itself has succeeded: one that failed never gets here.
pub fn parse(txts: &[Vec<u8>]) -> Result<PolicyId, NoRecord> {
    // What is not ours costs a glance, and the second of ours ends the search.
    let mut ours = txts.iter().filter_map(|txt| fields(txt));
    match (ours.next(), ours.next()) {
        (None, _) => Err(NoRecord::None),
        // RFC 8461 §3.1: not exactly one is none.
        (Some(_), Some(_)) => Err(NoRecord::Several),
        (Some(fields), None) => id(fields).map_err(NoRecord::Invalid),
    }
}

/// What follows the version and the first semicolon of a record; none where it is not one of ours.
///
/// RFC 8461 §3.1: what does not begin with `v=STSv1;` is discarded, so also `v=STSv1` alone, which lacks
/// the id anyway. The grammar has white space before the semicolon, the sentence about discarding has
/// not; the grammar is followed.
fn fields(txt: &[u8]) -> Option<&[u8]> {
    let mut rest = txt.strip_prefix(b"v=STSv1")?;
    while let [b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest.strip_prefix(b";")
}

/// The id among the fields of a record, or what is wrong with them.
fn id(fields: &[u8]) -> Result<PolicyId, String> {
    if fields.len() > MAX_RECORD {
        return Err(format!("it is longer than {MAX_RECORD} octets"));
    }
    let text = std::str::from_utf8(fields).ok();
    let text = text
        .filter(|text| text.is_ascii())
        .ok_or("it is not ASCII")?;
    // Deviates from RFC 8461 §3.1: blanks at the very end are passed over too, because nobody can read
    // the record in two ways for them.
    let text = text.trim_end_matches(is_blank);
    let text = text.strip_suffix(';').unwrap_or(text);
    let mut id = None;
    // Nothing at all is no field, rather than an empty one.
    for text in text.split(';').filter(|_| !text.is_empty()) {
        let (name, value) = field(text.trim_matches(is_blank))?;
        // RFC 8461 §3.2: of a repeated field the first one counts; unknown ones are ignored.
        if name == "id" && id.is_none() {
            let read = value.parse::<PolicyId>();
            id = Some(read.map_err(|error| format!("{error}, not {}", excerpt(value)))?);
        }
    }
    id.ok_or_else(|| "it has no id".to_owned())
}

/// Name and value of one field.
fn field(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once('=');
    parts
        .filter(|(name, value)| is_name(name) && is_value(value))
        .ok_or_else(|| match text {
            "" => "it has an empty field".to_owned(),
            _ => format!("{} is not name=value", excerpt(text)),
        })
}

/// WSP.
fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Whether this is the name of a field, of the record or of the policy: sts-ext-name.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || b"_-.".contains(&octet);
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(inner)
}

/// Whether this is the value of a field of the record: sts-ext-value. An id is one as well.
fn is_value(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_one(txt: &str) -> Result<PolicyId, NoRecord> {
        parse(&[txt.into()])
    }

    fn parse_all(txts: &[&str]) -> Result<PolicyId, NoRecord> {
        let txts: Vec<Vec<u8>> = txts.iter().map(|&txt| txt.into()).collect();
        parse(&txts)
    }

    #[test]
    fn a_record_has_an_id() {
        let good = |txt: &str, id: &str| {
            assert_eq!(parse_one(txt).unwrap().as_str(), id, "{txt:?}");
        };
        good("v=STSv1; id=20160831085700Z;", "20160831085700Z");
        good("v=STSv1;id=a", "a");
        good("v=STSv1; id=a", "a");
        good("v=STSv1 ;\tid=a \t;\t ", "a");
        good("v=STSv1 \t ; id=a", "a");
        good("v=STSv1; id=a \t", "a"); // a deviation
        good(
            "v=STSv1; id=0123456789abcdefghijKLMNOPQRSTUV",
            "0123456789abcdefghijKLMNOPQRSTUV",
        );
        // Unknown fields, anywhere.
        good(
            "v=STSv1; x=y; id=a; z.-_=!\"#$%&'()*+,-./:<>?@[\\]^_`{|}~;",
            "a",
        );
        good("v=STSv1; Id=b; ID=c; id=a", "a");
        good(&format!("v=STSv1; {}=y; id=a", "x".repeat(32)), "a");
        // Of a repeated field the first one counts.
        good("v=STSv1; id=a; id=b", "a");
        good("v=STSv1; id=a; id=not-an-id", "a");
        good("v=STSv1; id=a; v=STSv2", "a");
    }

    #[test]
    fn a_malformed_record_says_why() {
        let bad = |txt: &str, why: &str| {
            let want = Err(NoRecord::Invalid(why.to_owned()));
            assert_eq!(parse_one(txt), want, "{txt:?}");
        };
        bad("v=STSv1;", "it has no id");
        bad("v=STSv1; ", "it has no id");
        bad("v=STSv1;;", "it has no id");
        bad("v=STSv1; ; id=a", "it has an empty field");
        bad("v=STSv1; id=a;;", "it has an empty field");
        bad("v=STSv1; x=y", "it has no id");
        bad("v=STSv1; ID=a", "it has no id");
        bad("v=STSv1; id", "\"id\" is not name=value");
        bad("v=STSv1; id=", "\"id=\" is not name=value");
        bad("v=STSv1; id =a", "\"id =a\" is not name=value");
        bad("v=STSv1; id= a", "\"id= a\" is not name=value");
        bad("v=STSv1; id=a b", "\"id=a b\" is not name=value");
        bad("v=STSv1; id=a=", "\"id=a=\" is not name=value");
        bad("v=STSv1; id=a, x=y", "\"id=a, x=y\" is not name=value");
        bad("v=STSv1; id=a; x", "\"x\" is not name=value");
        bad("v=STSv1; id=a; =y", "\"=y\" is not name=value");
        bad("v=STSv1; id=a; -x=y", "\"-x=y\" is not name=value");
        bad("v=STSv1; id=a; x\0=y", "\"x\\0=y\" is not name=value");
        bad("v=STSv1; id=a\r\n", "\"id=a\\r\\n\" is not name=value");
        bad("v=STSv1; id=a; x=ü", "it is not ASCII");
        bad(
            "v=STSv1; id=2024-01-01",
            "an id has 1 to 32 letters and digits, not \"2024-01-01\"",
        );
        // The first one counts, also where it is the bad one.
        bad(
            "v=STSv1; id=a_b; id=c",
            "an id has 1 to 32 letters and digits, not \"a_b\"",
        );
        let long = "x".repeat(33);
        bad(
            &format!("v=STSv1; id={long}"),
            &format!("an id has 1 to 32 letters and digits, not \"{long}\""),
        );
        bad(
            &format!("v=STSv1; id=a; {long}=y"),
            &format!("\"{long}=y\" is not name=value"),
        );
        let padded = format!("v=STSv1; id=a; x={}", "y".repeat(MAX_RECORD));
        bad(&padded, "it is longer than 4096 octets");
        assert!(matches!(
            parse(&[b"v=STSv1; id=a; x=\xff".to_vec()]),
            Err(NoRecord::Invalid(_))
        ));
    }

    #[test]
    fn what_does_not_begin_with_the_version_is_not_ours() {
        let others = [
            "",
            "v=STSv1",
            "v=STSv1 ",
            "v=STSv10; id=x",
            "v=STSv2; id=x",
            "v=stsv1; id=x",
            "V=STSv1; id=x",
            " v=STSv1; id=x",
            "v =STSv1; id=x",
            "v= STSv1; id=x",
            "\"v=STSv1; id=x\"",
            "id=x; v=STSv1",
            "v=STSv1, id=x",
            "v=spf1 -all",
            "v=TLSRPTv1; rua=mailto:tls@a.example",
        ];
        for other in others {
            assert_eq!(parse_one(other), Err(NoRecord::None), "{other:?}");
        }
        assert_eq!(parse_all(&others), Err(NoRecord::None));
        assert_eq!(parse(&[]), Err(NoRecord::None));
    }

    #[test]
    fn an_unrelated_record_at_the_name_is_harmless() {
        // maddy and KumoMTA find no policy then.
        let long = "x".repeat(2 * MAX_RECORD);
        for other in [
            "v=spf1 -all",
            "google-site-verification=x",
            "v=STSv1",
            "",
            &long,
        ] {
            assert_eq!(parse_all(&[other, "v=STSv1; id=a"]).unwrap().as_str(), "a");
            assert_eq!(parse_all(&["v=STSv1; id=a", other]).unwrap().as_str(), "a");
        }
        assert_eq!(
            parse(&[vec![0xff; 9], "v=STSv1; id=a".into()])
                .unwrap()
                .as_str(),
            "a"
        );
    }

    #[test]
    fn two_of_ours_are_none() {
        let several = |txts: &[&str]| assert_eq!(parse_all(txts), Err(NoRecord::Several));
        several(&["v=STSv1; id=a", "v=STSv1; id=b"]);
        several(&["v=STSv1; id=a", "v=spf1 -all", "v=STSv1 ; id=a"]);
        // RFC 8461 §3.1: counted before anyone looks whether they are well-formed.
        several(&["v=STSv1; id=a", "v=STSv1;"]);
    }

    #[test]
    fn the_reason_is_short_and_harmless() {
        let txt = format!("v=STSv1; id\x1b[31m{}", "x".repeat(3000));
        let Err(NoRecord::Invalid(why)) = parse_one(&txt) else {
            panic!("{txt}");
        };
        assert!(why.len() < 120 && !why.contains('\x1b'), "{why}");
    }

    fn soup() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("v=STSv1".to_owned()),
            Just("id=".to_owned()),
            Just(";".to_owned()),
            "[ \t]{1,2}",
            "[a-zA-Z0-9._=-]{1,34}",
            ".",
        ];
        prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_id_or_a_reason(txts in prop::collection::vec(soup(), 0..3)) {
            let txts: Vec<&str> = txts.iter().map(String::as_str).collect();
            if let Ok(id) = parse_all(&txts) {
                prop_assert!((1..=32).contains(&id.as_str().len()));
                prop_assert!(id.as_str().bytes().all(|octet| octet.is_ascii_alphanumeric()));
            }
        }

        #[test]
        fn any_octets_are_survived(txts in prop::collection::vec(any::<Vec<u8>>(), 0..3)) {
            let _ = parse(&txts);
            let ours = |txt: &Vec<u8>| [b"v=STSv1;", &txt[..]].concat();
            let _ = parse(&txts.iter().map(ours).collect::<Vec<_>>());
        }

        #[test]
        fn an_id_reads_what_it_writes(text in "[a-zA-Z0-9]{1,32}", blank in "[ \t]{0,3}") {
            let id: PolicyId = text.parse().unwrap();
            let record = format!("v=STSv1{blank};{blank}x=y;{blank}id={id}{blank};{blank}");
            prop_assert_eq!(parse_one(&record), Ok(id));
        }
    }
}
