use super::*;

const NOW: UnixTime = UnixTime(1_795_444_422);
const GUARD: Guard = Guard {
    response: Response::Defer,
    hold: Duration::from_hours(72),
};

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

fn known(best: Shown) -> Known {
    Known { best, lost: None }
}

fn watch(best: Shown, extent: Extent) -> Watch {
    Watch {
        known: known(best),
        extent,
        guard: GUARD,
    }
}

fn proof() -> Extent {
    Extent::Proof(Arc::new(Roots {
        source: String::new(),
        anchors: Vec::new(),
    }))
}

fn word(sight: Sight) -> &'static str {
    match sight {
        Sight::Kept => "kept",
        Sight::InPart => "in part",
        Sight::Lost(kind) => kind.label(),
    }
}

/// What was best, what is shown; how it compares where a certificate proves nothing, where it proves the
/// name, and where nobody looks at it.
const TABLE: &str = "
    tls  plaintext  starttls        starttls  starttls
    tls  tls        kept            kept      kept
    tls  pkix       kept            kept      kept
    tls  dane       kept            kept      kept
    pkix plaintext  starttls        starttls  starttls
    pkix tls        authentication  kept      in part
    pkix pkix       kept            kept      kept
    pkix dane       kept            kept      kept
    dane plaintext  starttls        starttls  starttls
    dane tls        authentication  kept      in part
    dane pkix       kept            kept      kept
    dane dane       kept            kept      kept
";

#[test]
fn each_connection_compares_with_the_best_as_the_table_says() {
    let rows = TABLE.lines().filter(|line| !line.trim().is_empty());
    let mut seen = 0;
    for row in rows {
        let row = row.trim().replace("in part", "in-part");
        let words: Vec<&str> = row.split_whitespace().collect();
        let (best, shown) = (
            Shown::of_word(words[0]).unwrap(),
            Shown::of_word(words[1]).unwrap(),
        );
        let actual = [
            watch(best, proof()).sight(shown, |_| false),
            watch(best, proof()).sight(shown, |_| true),
            watch(best, Extent::Tls).sight(shown, |_| panic!("nobody asks")),
        ];
        let actual = actual.map(|sight| word(sight).replace(' ', "-"));
        assert_eq!(actual, words[2..], "{row}");
        seen += 1;
    }
    assert_eq!(seen, 12);
}

#[test]
fn a_host_without_tls_has_nothing_to_without() {
    assert_eq!(Known::first(Shown::Plaintext), None);
    assert_eq!(Known::first(Shown::Tls), Some(known(Shown::Tls)));
}

#[test]
fn the_best_stays_and_grows() {
    let after = |best, shown| known(best).after(shown, Sight::Kept, NOW, GUARD);
    assert_eq!(after(Shown::Tls, Shown::Dane), (known(Shown::Dane), None));
    assert_eq!(after(Shown::Dane, Shown::Tls), (known(Shown::Dane), None));
}

#[test]
fn a_loss_is_told_once_lasts_and_is_accepted() {
    let without =
        |known: Known, now| known.after(Shown::Plaintext, Sight::Lost(Kind::Starttls), now, GUARD);
    let (lost, turn) = without(known(Shown::Dane), NOW);
    assert_eq!(turn, Some(Turn::Lost(Kind::Starttls)));
    assert_eq!(lost.best, Shown::Dane);
    let end = GUARD.hold.as_secs();
    assert_eq!(without(lost, later(end - 1)), (lost, None));
    let accepted = (known(Shown::Plaintext), Some(Turn::Accepted));
    assert_eq!(without(lost, later(end)), accepted);
}

#[test]
fn what_is_there_again_was_never_lost() {
    let (lost, _) =
        known(Shown::Tls).after(Shown::Plaintext, Sight::Lost(Kind::Starttls), NOW, GUARD);
    let half = lost.after(Shown::Tls, Sight::InPart, later(1), GUARD);
    assert_eq!(half, (lost, None), "nobody looked for a proof");
    let whole = lost.after(Shown::Tls, Sight::Kept, later(2), GUARD);
    assert_eq!(whole, (known(Shown::Tls), Some(Turn::Regained)));
}

#[test]
fn only_a_worse_loss_begins_anew() {
    let without =
        |known: Known, kind: Kind, now| known.after(kind.leaves(), Sight::Lost(kind), now, GUARD);
    let (first, _) = without(known(Shown::Pkix), Kind::Authentication, NOW);
    let (worse, turn) = without(first, Kind::Starttls, later(10));
    assert_eq!(turn, Some(Turn::Lost(Kind::Starttls)));
    assert_eq!(worse.lost.map(|lost| lost.since), Some(later(10)));
    assert_eq!(
        without(worse, Kind::Authentication, later(20)),
        (worse, None)
    );
}

#[test]
fn mail_waits_until_the_loss_has_lasted() {
    let mut watch = watch(Shown::Tls, Extent::Tls);
    let until = |watch: &Watch, now| {
        let downgrade = watch.defers(Kind::Starttls, now);
        downgrade.map(|downgrade| downgrade.until)
    };
    let end = GUARD.hold.as_secs();
    assert_eq!(until(&watch, NOW), Some(later(end)), "it begins now");
    watch.known.lost = Some(Lost {
        kind: Kind::Starttls,
        since: NOW,
    });
    assert_eq!(until(&watch, later(end - 1)), Some(later(end)));
    assert_eq!(until(&watch, later(end)), None);
    watch.guard.response = Response::Warn;
    assert_eq!(until(&watch, NOW), None);
}

#[test]
fn words_are_read_as_they_are_written() {
    for shown in Shown::ALL {
        assert_eq!(Shown::of_word(shown.word()), Some(shown));
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::of_word(kind.label()), Some(kind));
    }
}
