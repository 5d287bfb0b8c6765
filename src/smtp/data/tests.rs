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

/// What [`DataScanner`] finds when it walks every octet: how much it took, why it stopped, its state.
fn walked(input: &[u8], bare: Bare) -> (usize, Status, Place, u64) {
    let (mut place, mut stuffing) = (Place::default(), 0);
    for (at, octet) in input.iter().enumerate() {
        match step(place, *octet) {
            Step::Bare(_) if bare == Bare::Stops => {
                return (at, Status::BareNewline, place, stuffing);
            }
            Step::End => return (at + 1, Status::End, Place::default(), stuffing),
            Step::To(to) | Step::Bare(to) => {
                stuffing += u64::from(to == Place::Dot);
                place = to;
            }
        }
    }
    (input.len(), Status::More, place, stuffing)
}

/// The same, piece by piece, blocks and all.
fn scanned(input: &[u8], cuts: &[usize], bare: Bare) -> (usize, Status, Place, u64) {
    let mut scanner = DataScanner::default();
    let (mut taken, mut status) = (0, Status::More);
    for cut in cuts.iter().copied().chain([input.len()]) {
        let scan = scanner.run(&input[taken..cut.min(input.len())], bare);
        taken += scan.taken;
        status = scan.status;
        if status != Status::More {
            break;
        }
    }
    (taken, status, scanner.place, scanner.stuffing)
}

/// Whether `content` has a CR or LF that stands alone, by the rule itself.
fn has_bare_newline(content: &[u8]) -> bool {
    (0..content.len()).any(|at| match content[at] {
        b'\r' => content.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || content[at - 1] != b'\r',
        _ => false,
    })
}

/// Long text of lines that are mostly as they should be, with something odd here and there.
fn lines_with_oddities() -> impl Strategy<Value = Vec<u8>> {
    let good = "[.a]{0,3}[a. ]{0,200}\r\n".prop_map(String::into_bytes);
    let odd = prop_oneof![
        prop::sample::select(vec![
            "\r",
            "\n",
            ".",
            "\r\n",
            "\n.",
            "\r.",
            "\r\n.",
            "\r\n.\r",
            "\r\n.\r\n"
        ])
        .prop_map(|odd| odd.as_bytes().to_vec()),
        newline_soup(),
        "[a.]{0,600}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(prop_oneof![6 => good, 1 => odd], 0..30)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn blocks_find_what_a_walk_finds(
        text in lines_with_oddities(),
        mut cuts in prop::collection::vec(0_usize..3000, 0..4),
    ) {
        cuts.sort_unstable();
        for bare in [Bare::Stops, Bare::Passes] {
            prop_assert_eq!(scanned(&text, &cuts, bare), walked(&text, bare));
        }
    }

    #[test]
    fn a_guard_catches_every_newline_alone(text in lines_with_oddities(), cut in 0_usize..3000) {
        let (head, tail) = text.split_at(cut.min(text.len()));
        let mut guard = ChunkGuard::default();
        let clean = guard.scan(head).is_ok() && guard.scan(tail).is_ok() && guard.finish().is_ok();
        prop_assert_eq!(clean, !has_bare_newline(&text));
    }
}

#[test]
fn an_oddity_is_found_wherever_it_stands_in_a_block() {
    for odd in [
        &b"\r"[..],
        b"\n",
        b".",
        b"\n.",
        b"\r.",
        b"\r\n.",
        b"\r\n.\r\n",
    ] {
        for before in 0..=2 * BLOCK + 2 {
            let text = [&vec![b'a'; before], odd, &[b'a'; 3 * BLOCK]].concat();
            for bare in [Bare::Stops, Bare::Passes] {
                assert_eq!(
                    scanned(&text, &[], bare),
                    walked(&text, bare),
                    "{before} {odd:?}"
                );
            }
        }
    }
}
