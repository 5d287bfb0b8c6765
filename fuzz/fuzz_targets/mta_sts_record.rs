//! TXT records of MTA-STS. The input is a set of records, one a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal_fuzz::assert_harmless;
use waxseal_fuzz::mtasts::record::{MAX_RECORD, NoRecord, parse};

fuzz_target!(|input: &[u8]| {
    let txts: Vec<Vec<u8>> = input
        .split(|octet| *octet == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let ours = txts.iter().filter(|txt| is_ours(txt)).count();
    let result = parse(&txts);
    match &result {
        Ok(id) => {
            assert_eq!(ours, 1);
            assert!((1..=32).contains(&id.as_str().len()));
            assert!(
                id.as_str()
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric())
            );
            // What is written is read.
            assert_eq!(id.as_str().parse().as_ref(), Ok(id));
            let written = format!("v=STSv1; id={id};").into_bytes();
            assert_eq!(parse(std::slice::from_ref(&written)).as_ref(), Ok(id));
            // Of repeated fields the first one counts, and unknown ones do not.
            for ours in txts.iter().filter(|txt| is_ours(txt)) {
                let longer = with_more_fields(ours);
                assert!(longer.len() > MAX_RECORD || parse(&[longer]).as_ref() == Ok(id));
            }
            // A second one of ours makes none of them count.
            assert_eq!(
                parse(&[txts.clone(), vec![written]].concat()),
                Err(NoRecord::Several)
            );
        }
        Err(NoRecord::None) => assert_eq!(ours, 0),
        Err(NoRecord::Several) => assert!(ours > 1),
        Err(NoRecord::Invalid(why)) => {
            assert_eq!(ours, 1);
            assert_harmless(why);
        }
    }
    // Neither order nor strangers at the name matter.
    let mut others = txts;
    others.reverse();
    others.push(b"v=spf1 -all".to_vec());
    others.push(b"v=STSv1".to_vec());
    assert_eq!(parse(&others), result);
});

/// Whether a record begins with the version, blanks and a semicolon.
fn is_ours(txt: &[u8]) -> bool {
    let head = txt.iter().position(|octet| *octet == b';');
    let head = head.and_then(|end| std::str::from_utf8(&txt[..end]).ok());
    head.is_some_and(|head| head.trim_end_matches([' ', '\t']) == "v=STSv1")
}

/// The record with another id and an unknown field behind its own.
fn with_more_fields(txt: &[u8]) -> Vec<u8> {
    let end = txt.iter().rposition(|octet| !b" \t".contains(octet));
    let txt = &txt[..end.map_or(0, |last| last + 1)];
    let txt = txt.strip_suffix(b";").unwrap_or(txt);
    [txt, b"; id=other; x=y"].concat()
}
