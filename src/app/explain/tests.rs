use super::*;

const ID: &str = "01kb5cw8r0v4q8zj2m6tn3x9fy";

/// The record of the golden test, as a line of the audit log.
fn line(id: &str, result: &str) -> String {
    let golden = include_str!("../../../tests/data/record.json");
    let mut value: serde_json::Value = serde_json::from_str(golden).unwrap();
    value["event"] = "delivery".into();
    value["id"] = id.into();
    value["result"] = result.into();
    format!("{value}\n")
}

fn id() -> DeliveryId {
    ID.parse().unwrap()
}

#[test]
fn a_delivery_is_found_among_lines_of_any_kind() {
    let other = "01kb5cw8r0000000000000000f";
    let act = format!("{{\"event\":\"act\",\"v\":1,\"detail\":\"{ID}\"}}\n");
    let text = [
        &line(other, "blocked"),
        &act,
        "half a line",
        "\n",
        &line(ID, "rejected"),
        "",
    ]
    .concat();
    let found = search(text.as_bytes(), id()).unwrap().unwrap();
    assert_eq!(found.result, "rejected");
    assert!(search(act.as_bytes(), id()).unwrap().is_none());
}

#[test]
fn what_was_rotated_away_is_searched_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("audit.jsonl", "");
    for stranger in [
        "audit.jsonl.gz",
        "audit.jsonl.1.gz",
        "audit.jsonl~",
        "xaudit.jsonl.1",
    ] {
        write(stranger, &line(ID, "deferred"));
    }
    assert!(written(&log, id()).unwrap().is_none());
    for sibling in ["audit.jsonl.12", "audit.jsonl-20261123"] {
        write(sibling, &line(ID, "delivered"));
        assert_eq!(written(&log, id()).unwrap().unwrap().result, "delivered");
        std::fs::remove_file(folder.path().join(sibling)).unwrap();
    }
}

#[test]
fn a_log_that_cannot_be_read_is_told() {
    let error = written(Path::new("/no/audit.jsonl"), id()).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("cannot read the audit log /no/audit.jsonl: "),
        "{told}"
    );
}
