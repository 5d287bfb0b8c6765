//! Tests of `smtp::data`.

use proptest::prelude::*;

use super::*;

/// Texts that some server takes for the end of data, none of which is.
const SMUGGLES: [&[u8]; 11] = [
    b"a\n.\nb",
    b"a\n.\r\nb",
    b"a\r.\rb",
    b"a\r.\r\nb",
    b"a\r\n.\nb",
    b"a\r\n.\rb",
    b"a\n.\rb",
    b"a\r.\nb",
    b"a\r\n\0.\r\n\nb",
    b"a\r\n.\0\r\n\rb",
    b"\n.\r\n",
];

/// Every way to cut `input` in two.
fn cuts(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    (0..=input.len()).map(|at| input.split_at(at))
}

fn scan_all(pieces: &[&[u8]]) -> (usize, Status) {
    let mut scanner = DataScanner::default();
    let mut taken = 0;
    for piece in pieces {
        let scan = scanner.scan(piece);
        taken += scan.taken;
        if scan.status != Status::More {
            return (taken, scan.status);
        }
    }
    (taken, Status::More)
}

fn normalise(pieces: &[&[u8]]) -> (Vec<u8>, Status) {
    let mut normaliser = Normaliser::default();
    let mut out = Vec::new();
    for piece in pieces {
        if normaliser.feed(piece, &mut out).status == Status::End {
            return (out, Status::End);
        }
    }
    (out, Status::More)
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[test]
fn data_ends_at_crlf_dot_crlf_alone_wherever_it_is_cut() {
    for (text, length) in [
        (&b".\r\nNOOP\r\n"[..], 3),
        (b"a\r\n.\r\nNOOP\r\n", 6),
        (b"..\r\n.\r\n", 7),
        (b".a\r\n.\r\n", 7),
        (b"\r\n.\r\n", 5),
        (b"a.\r\n.b\r\n\r\n.\r\nx", 13),
    ] {
        for (head, tail) in cuts(text) {
            assert_eq!(scan_all(&[head, tail]), (length, Status::End), "{text:?}");
        }
    }
}

#[test]
fn no_smuggled_end_of_data_passes() {
    for text in SMUGGLES {
        for (head, tail) in cuts(text) {
            assert_eq!(scan_all(&[head, tail]).1, Status::BareNewline, "{text:?}");
        }
    }
}

#[test]
fn a_refused_message_is_drained_to_its_true_end() {
    for text in SMUGGLES {
        let whole = [text, b"\r\nmore\r\n.\r\nQUIT\r\n"].concat();
        let mut scanner = DataScanner::default();
        let bare = scanner.scan(&whole);
        assert_eq!(bare.status, Status::BareNewline);
        let end = scanner.drain(&whole[bare.taken..]);
        assert_eq!(end.status, Status::End);
        assert_eq!(&whole[bare.taken + end.taken..], b"QUIT\r\n", "{text:?}");
    }
}

#[test]
fn normalised_smuggles_are_one_message() {
    for text in SMUGGLES {
        let whole = [text, b"\r\n.\r\n"].concat();
        for (head, tail) in cuts(&whole) {
            let (out, status) = normalise(&[head, tail]);
            assert_eq!(status, Status::End, "{text:?}");
            assert_eq!(
                position(&out, b"\r\n.\r\n"),
                Some(out.len() - 5),
                "{text:?}"
            );
        }
    }
}

#[test]
fn newlines_that_stand_alone_become_crlf() {
    let good = |text: &[u8], want: &[u8]| {
        assert_eq!(normalise(&[text]), (want.to_vec(), Status::End), "{text:?}");
    };
    good(b"a\nb\rc\r\n.\r\n", b"a\r\nb\r\nc\r\n.\r\n");
    good(b"a\n\nb\r\r\n.\r\n", b"a\r\n\r\nb\r\n\r\n.\r\n");
    good(b"a\n.\r\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n.\r\n");
    good(b"a\n..\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n.\r\n");
    good(b".\r\n", b".\r\n");
}

#[test]
fn chunks_with_a_newline_alone_are_caught() {
    for text in [&b"a\nb"[..], b"a\rb", b"\n", b"a\r\r\n"] {
        for (head, tail) in cuts(text) {
            let mut guard = ChunkGuard::default();
            let result = guard
                .scan(head)
                .and_then(|()| guard.scan(tail))
                .and_then(|()| guard.finish());
            assert_eq!(result, Err(BareNewline), "{text:?}");
        }
    }
    let mut guard = ChunkGuard::default();
    assert_eq!(guard.scan(b"a\r\nb\r"), Ok(()));
    assert_eq!(guard.finish(), Err(BareNewline));
    assert_eq!(guard.scan(b"\n"), Ok(()));
    assert_eq!(guard.finish(), Ok(()));
}

fn newline_soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"\r\n.ab".to_vec()), 0..40)
}

/// Lines that end in CRLF and hold neither CR nor LF.
fn clean_text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec("[.a]{0,4}", 0..8).prop_map(|lines| {
        lines
            .iter()
            .flat_map(|l| [l.as_bytes(), b"\r\n"].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn a_scanner_takes_exactly_up_to_the_first_end(text in newline_soup(), cut in 0_usize..40) {
        let text = [&b"\r\n"[..], &text, b"\r\n.\r\n"].concat();
        let end = position(&text, b"\r\n.\r\n").unwrap() + 5;
        let (head, tail) = text.split_at(cut.min(text.len()));
        let mut scanner = DataScanner::default();
        let first = scanner.drain(head);
        let taken = if first.status == Status::End { first.taken } else {
            first.taken + scanner.drain(tail).taken
        };
        prop_assert_eq!(taken, end);
    }

    #[test]
    fn normalised_output_ends_once_and_has_no_newline_alone(text in newline_soup(), cut in 0_usize..40) {
        let text = [&text[..], b"\r\n.\r\n"].concat();
        let (head, tail) = text.split_at(cut.min(text.len()));
        let (out, status) = normalise(&[head, tail]);
        prop_assert_eq!(status, Status::End);
        prop_assert_eq!(&out, &normalise(&[&text]).0);
        prop_assert_eq!(scan_all(&[&out]), (out.len(), Status::End));
    }

    #[test]
    fn clean_text_is_normalised_to_itself(text in clean_text()) {
        let mut stuffed = Vec::new();
        let mut stuffer = DotStuffer::default();
        stuffer.encode(&text, &mut stuffed);
        stuffer.finish(&mut stuffed);
        prop_assert_eq!(normalise(&[&stuffed]), (stuffed.clone(), Status::End));
    }

    #[test]
    fn stuffing_is_undone_by_the_rule_of_the_rfc(text in clean_text(), cut in 0_usize..40) {
        let (head, tail) = text.split_at(cut.min(text.len()));
        let mut stuffed = Vec::new();
        let mut stuffer = DotStuffer::default();
        stuffer.encode(head, &mut stuffed);
        stuffer.encode(tail, &mut stuffed);
        stuffer.finish(&mut stuffed);
        prop_assert_eq!(scan_all(&[&stuffed]), (stuffed.len(), Status::End));
        let body = &stuffed[..stuffed.len() - 3];
        let plain: Vec<u8> = body
            .split_inclusive(|octet| *octet == b'\n')
            .flat_map(|line| line.strip_prefix(b".").unwrap_or(line))
            .copied()
            .collect();
        prop_assert_eq!(plain, text);
    }
}

#[test]
fn data_becomes_one_chunk_without_the_dots_that_were_added() {
    for (data, chunk) in [
        (&b".\r\n"[..], &b"BDAT 0 LAST\r\n"[..]),
        (b"\r\n.\r\n", b"BDAT 2 LAST\r\n\r\n"),
        (b"..\r\n.\r\n", b"BDAT 3 LAST\r\n.\r\n"),
        (
            b"a\r\n..b.\r\n.c\r\n.\r\n",
            b"BDAT 11 LAST\r\na\r\n.b.\r\nc\r\n",
        ),
    ] {
        assert_eq!(one_chunk(data), chunk, "{}", data.escape_ascii());
    }
}

proptest! {
    #[test]
    fn whatever_is_stuffed_becomes_the_same_chunk_again(content in "([.a ]{0,3}\r\n){0,5}") {
        let mut data = Vec::new();
        let mut stuffer = DotStuffer::default();
        stuffer.encode(content.as_bytes(), &mut data);
        stuffer.finish(&mut data);
        let chunk = format!("BDAT {} LAST\r\n{content}", content.len());
        prop_assert_eq!(one_chunk(&data), chunk.into_bytes());
    }
}

/// A message of many blocks, most of which are plain.
fn long_text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        20 => "[a-z. ]{70}\r\n",
        2 => "[.\r\na]{0,4}",
        2 => Just("\r\n..\r\n".to_owned()),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.concat().into_bytes())
}

/// What comes of `input` in pieces of `size`: octets taken, why it stopped, dots that do not count.
fn scan_by(
    input: &[u8],
    size: usize,
    mode: fn(&mut DataScanner, &[u8]) -> Scan,
) -> (usize, Status, u64) {
    let mut scanner = DataScanner::default();
    let mut taken = 0;
    for piece in input.chunks(size) {
        let scan = mode(&mut scanner, piece);
        taken += scan.taken;
        if scan.status != Status::More {
            return (taken, scan.status, scanner.stuffing());
        }
    }
    (taken, Status::More, scanner.stuffing())
}

proptest! {
    #[test]
    fn whole_blocks_come_to_the_same_as_single_octets(text in long_text(), size in 1_usize..4000) {
        for mode in [DataScanner::scan, DataScanner::drain] {
            prop_assert_eq!(scan_by(&text, size, mode), scan_by(&text, 1, mode));
        }
    }
}
