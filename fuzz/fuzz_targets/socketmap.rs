//! What a client of the policy table sends: netstrings, the requests in them, their keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal_fuzz::assert_harmless;
use waxseal_fuzz::socketmap::{Inbox, Key, MAX_REQUEST, Malformed, NotARequest, Reply, Request};

fuzz_target!(|input: &[u8]| {
    let (found, end) = read(input, usize::MAX);
    check_netstrings(input, &found, end);
    // How it arrives makes no difference.
    for size in [1, 3, 100] {
        assert_eq!(read(input, size), (found.clone(), end), "{size}");
    }
    found.iter().for_each(|content| check_request(content));
    // Without the length, which every change of the input makes wrong.
    check_request(input);
});

/// The contents of all netstrings in `input`, given in pieces of `size`, and why it went no further.
fn read(input: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), Malformed>) {
    let mut inbox = Inbox::default();
    let mut found = Vec::new();
    let mut rest = input;
    loop {
        match inbox.pull() {
            Ok(Some(content)) => found.push(content.to_vec()),
            Ok(None) if rest.is_empty() => return (found, Ok(())),
            Ok(None) => {
                let room = inbox.room();
                assert!(!room.is_empty());
                let octets = size.min(room.len()).min(rest.len());
                room[..octets].copy_from_slice(&rest[..octets]);
                inbox.filled(octets);
                rest = &rest[octets..];
            }
            Err(malformed) => return (found, Err(malformed)),
        }
    }
}

/// What was read is what stands there, and nothing whole is left.
fn check_netstrings(input: &[u8], found: &[Vec<u8>], end: Result<(), Malformed>) {
    let mut written = Vec::new();
    for content in found {
        assert!(content.len() <= MAX_REQUEST);
        written.extend_from_slice(&netstring(content));
    }
    assert!(input.starts_with(&written));
    match end {
        Ok(()) => assert!(input.len() - written.len() <= netstring(&[0; MAX_REQUEST]).len()),
        Err(malformed) => assert_harmless(&malformed.to_string()),
    }
}

fn netstring(content: &[u8]) -> Vec<u8> {
    [format!("{}:", content.len()).as_bytes(), content, b","].concat()
}

fn check_request(content: &[u8]) {
    match Request::parse(content) {
        Ok(Request { table, key }) => {
            assert_eq!(format!("{table} {key}").as_bytes(), content);
            assert!(!table.is_empty() && !table.contains(' '));
            check_key(key);
            check_reply(key);
        }
        Err(error) => {
            let is_text = std::str::from_utf8(content).is_ok();
            assert_eq!(error == NotARequest::NotUtf8, !is_text);
            assert_harmless(&error.to_string());
        }
    }
}

/// A destination stays the same when it is asked for by its own name, and by no other kind of key is it reached.
fn check_key(key: &str) {
    match Key::parse(key) {
        Key::Destination(destination) => {
            let again = Key::parse(&destination.to_string());
            assert_eq!(again, Key::Destination(destination));
        }
        Key::Parent => assert!(key.starts_with('.')),
        Key::NotADomain(error) => assert_harmless(&error.to_string()),
        Key::NextHop => assert!(key.contains([':', '[', ']'])),
        Key::Other => {}
    }
}

/// A reply is one netstring, whatever is in its text.
fn check_reply(text: &str) {
    let mut wire = Vec::new();
    Reply::Temp(text).write_to(&mut wire);
    assert_eq!(wire, netstring(format!("TEMP {text}").as_bytes()));
}
