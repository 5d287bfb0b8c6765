//! The main log of Exim: one line for each address, with what it tells of TLS (`X=`, `CV=`).
//!
//! `tls_cipher` is in Exim's default `log_selector`: without `X=` there was no TLS. One delivery may have addresses of
//! several domains (`->` follows `=>`); a message counts once for each domain.

use super::seen::{End, Seen, Tls, domain, is_loopback};
use crate::name::Destination;

/// Domains of one message that are remembered; further ones may count twice.
const MAX_DOMAINS: usize = 100;

/// Reads the lines of Exim, in their order.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The message of the last line, and what it has counted for.
    message: String,
    counted: Vec<(Destination, End)>,
}

impl Reader {
    /// The delivery that a line tells of. Further addresses of the same message and domain are none.
    pub(super) fn read(&mut self, line: &str) -> Option<Seen> {
        let flagged = flagged(line)?;
        let seen = delivery(&flagged)?;
        if self.message != flagged.message {
            flagged.message.clone_into(&mut self.message);
            self.counted.clear();
        }
        let key = (seen.destination.clone(), seen.end);
        if self.counted.contains(&key) {
            return None;
        }
        if self.counted.len() < MAX_DOMAINS {
            self.counted.push(key);
        }
        Some(seen)
    }
}

/// A line about one address of a message.
struct Flagged<'a> {
    message: &'a str,
    end: End,
    text: &'a str,
}

fn delivery(line: &Flagged<'_>) -> Option<Seen> {
    let (destination, fields) = domain(line.text)?;
    let mut fields = fields.split(' ');
    let mut tls = Tls::Plaintext;
    let mut has_host = false;
    while let Some(field) = fields.next() {
        match field.split_once('=') {
            Some(("H", _)) => {
                // H=mx.example [192.0.2.1]; what comes behind may be the server's own words.
                let address = fields.next().and_then(|word| word.strip_prefix('['))?;
                let (address, _) = address.split_once(']')?;
                if is_loopback(address) {
                    return None;
                }
                has_host = true;
            }
            Some(("X", _)) if has_host => tls = Tls::Unproven,
            Some(("CV", "yes" | "dane")) if tls == Tls::Unproven => tls = Tls::Proven,
            Some(("C" | "DN", _)) => break,
            _ if has_host && field.ends_with(':') => break,
            _ => {}
        }
    }
    has_host.then_some(Seen {
        destination,
        end: line.end,
        tls: if line.end == End::Sent {
            tls
        } else {
            Tls::Untold
        },
    })
}

/// The flag behind the message's ID, and what follows it.
fn flagged(line: &str) -> Option<Flagged<'_>> {
    let mut rest = line;
    // The date may be two words, with a time zone and a process number behind; syslog puts its own before.
    for _ in 0..10 {
        let (word, behind) = rest.split_once(' ')?;
        if is_message_id(word) {
            let (flag, text) = behind.split_once(' ')?;
            let end = match flag {
                "=>" | "->" | "*>" | ">>" => End::Sent,
                "**" | "==" => End::Unsent,
                _ => return None,
            };
            return Some(Flagged {
                message: word,
                end,
                text,
            });
        }
        rest = behind;
    }
    None
}

/// `1vNVd3-0007Pj-2C`, or since Exim 4.97 `1vNVd3-000000007Pj-2C00`.
fn is_message_id(word: &str) -> bool {
    let parts: Vec<usize> = word.split('-').map(str::len).collect();
    let is_known = matches!(parts[..], [6, 6, 2] | [6, 11, 4]);
    is_known && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2026-11-24 10:00:00 1vNVd3-0007Pj-2C";

    fn told(line: &str) -> Option<(String, End, Tls)> {
        let seen = Reader::default().read(line);
        seen.map(|seen| (seen.destination.to_string(), seen.end, seen.tls))
    }

    #[test]
    fn deliveries_of_every_kind() {
        let good = |text: &str, end: End, tls: Tls| {
            let want = Some(("b.example".to_owned(), end, tls));
            assert_eq!(told(&format!("{ID} {text}")), want, "{text}");
        };
        let host = "R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1]";
        let reply = "C=\"250 2.0.0 Ok: queued as 1 X=TLS CV=yes\"";
        let tls = "X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256";
        good(
            &format!("=> a@b.example {host} {reply}"),
            End::Sent,
            Tls::Plaintext,
        );
        good(
            &format!("=> a@b.example {host} {tls} CV=yes DN=\"CN=mx CV=no\" {reply}"),
            End::Sent,
            Tls::Proven,
        );
        good(
            &format!("=> a@b.example {host} {tls} CV=dane {reply}"),
            End::Sent,
            Tls::Proven,
        );
        good(
            &format!("=> a@b.example {host} {tls} CV=no {reply}"),
            End::Sent,
            Tls::Unproven,
        );
        good(
            &format!("=> a@B.Example <x@c.example> F=<s@d.example> {host} {reply}"),
            End::Sent,
            Tls::Plaintext,
        );
        good(
            &format!("*> a@b.example {host} {reply}"),
            End::Sent,
            Tls::Plaintext,
        );
        good(
            &format!("=> a@b.example {host}:25 {reply}"),
            End::Sent,
            Tls::Plaintext,
        );
        good(
            &format!("=> \"x R=y @c.example\"@b.example {host} {reply}"),
            End::Sent,
            Tls::Plaintext,
        );
        good(
            &format!("** a@b.example {host} {tls} CV=yes: SMTP error from remote mail server"),
            End::Unsent,
            Tls::Untold,
        );
        good(
            &format!("== a@b.example {host} defer (-44): SMTP error X=TLS"),
            End::Unsent,
            Tls::Untold,
        );
    }

    #[test]
    fn a_message_counts_once_for_each_domain() {
        let mut reader = Reader::default();
        let mut told = |id: &str, to: &str| {
            let line = format!("2026-11-24 10:00:00 {id} {to} R=r T=t H=mx.b.example [192.0.2.1]");
            reader.read(&line).map(|seen| seen.destination.to_string())
        };
        let id = "1vNVd3-0007Pj-2C";
        assert_eq!(told(id, "=> a@b.example").as_deref(), Some("b.example"));
        assert_eq!(told(id, "-> b@c.example").as_deref(), Some("c.example"));
        assert_eq!(told(id, "-> c@b.example"), None);
        assert_eq!(told(id, "== d@b.example").as_deref(), Some("b.example"));
        let other = "1vNVd3-0007Pj-2D";
        assert_eq!(told(other, "=> a@b.example").as_deref(), Some("b.example"));
    }

    #[test]
    fn heads_of_every_kind() {
        let rest = "=> a@b.example R=r T=t H=mx.b.example [192.0.2.1] C=\"250 ok\"";
        for head in [
            "2026-11-24 10:00:00 1vNVd3-0007Pj-2C",
            "2026-11-24 10:00:00.123 +0100 [4711] 1vNVd3-0007Pj-2C",
            "2026-11-24 10:00:00 1vNVd3-000000007Pj-2C00",
            "Nov 24 10:00:00 mail exim[4711]: 2026-11-24 10:00:00 1vNVd3-0007Pj-2C",
            "2026-11-24T10:00:00+00:00 mail exim[4711]: 1vNVd3-0007Pj-2C",
        ] {
            assert!(told(&format!("{head} {rest}")).is_some(), "{head}");
        }
    }

    #[test]
    fn what_is_no_delivery_to_an_mx_is_passed_over() {
        for text in [
            "=> a <a@b.example> R=local T=local_delivery",
            "=> a@b.example R=filter T=smtp H=localhost [127.0.0.1]:10026 C=\"250 ok\"",
            "<= a@b.example H=mx.b.example [192.0.2.1] P=esmtps X=TLS1.3:x:256 S=1000",
            "== a@b.example R=dnslookup T=remote_smtp defer (-53): retry time not reached for any host",
            "=> a@b.example R=r T=t H=mx.b.example",
            "Completed",
            "",
        ] {
            assert_eq!(told(&format!("{ID} {text}")), None, "{text}");
        }
    }
}
