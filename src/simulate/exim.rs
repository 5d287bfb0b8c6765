//! The main log of Exim: one line for each delivery, with what it tells of TLS (`X=`, `CV=`).

use super::seen::{End, Seen, Tls, domain, is_loopback};

/// The delivery that a line tells of. Further addresses of one delivery (`->`) are none: the message counts once.
pub(super) fn read(line: &str) -> Option<Seen> {
    let (end, text) = flagged(line)?;
    let (destination, fields) = domain(text)?;
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
    let tls = if end == End::Sent { tls } else { Tls::Untold };
    has_host.then_some(Seen {
        destination,
        end,
        tls,
    })
}

/// The flag behind the message's ID, and what follows it.
fn flagged(line: &str) -> Option<(End, &str)> {
    let mut rest = line;
    // The date may be two words, with a time zone and a process number behind; syslog puts its own before.
    for _ in 0..10 {
        let (word, behind) = rest.split_once(' ')?;
        if is_message_id(word) {
            let (flag, text) = behind.split_once(' ')?;
            return match flag {
                "=>" | "*>" | ">>" => Some((End::Sent, text)),
                "**" | "==" => Some((End::Unsent, text)),
                _ => None,
            };
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
        read(line).map(|seen| (seen.destination.to_string(), seen.end, seen.tls))
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
            "-> b@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C=\"250 ok\"",
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
