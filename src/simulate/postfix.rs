//! The log of Postfix: what smtp(8) says of a delivery, and of the TLS before it.
//!
//! A delivery does not tell whether it was encrypted. With `smtp_tls_loglevel = 1` a line before it does, of the same
//! process and about the same server; the next delivery over a connection that is kept has none of its own
//! (`conn_use=`). So each process is remembered, and what cannot be told stays untold.

use std::collections::HashMap;

use super::seen::{End, Seen, Tls, domain, is_loopback};
use crate::name::Destination;

/// Processes that are remembered at once; a system has fewer that live.
const MAX_PROCESSES: usize = 10_000;

/// Reads the lines of Postfix, in their order.
#[derive(Debug, Default)]
pub(super) struct Reader {
    processes: HashMap<String, Process>,
    /// Whether the log has shown that it tells of TLS.
    tells_of_tls: bool,
}

/// What a process has said.
#[derive(Debug, Default)]
struct Process {
    /// The server of the last handshake, such as `mx.example[192.0.2.1]:25`, and what came of it.
    tls: Option<(String, Tls)>,
    /// The last delivery: a message has a line for each recipient.
    last: Option<(String, Destination, End)>,
}

/// One line of smtp(8).
#[derive(Debug)]
enum Line<'a> {
    /// A TLS connection.
    Handshake { server: &'a str, tls: Tls },
    /// A delivery.
    Delivery(Delivery<'a>),
}

#[derive(Debug)]
struct Delivery<'a> {
    message: &'a str,
    destination: Destination,
    relay: &'a str,
    is_reused: bool,
    end: End,
}

impl Reader {
    /// The delivery that a line tells of. Further recipients of the same message and domain are none.
    pub(super) fn read(&mut self, line: &str) -> Option<Seen> {
        let (process, text) = smtp_process(line)?;
        let line = parse(text)?;
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(process) {
            self.processes.clear();
        }
        let process = self.processes.entry(process.to_owned()).or_default();
        match line {
            Line::Handshake { server, tls } => {
                self.tells_of_tls = true;
                process.tls = Some((server.to_owned(), tls));
                None
            }
            Line::Delivery(delivery) => {
                let is_new = process.is_new(&delivery);
                let tls = process.tls(&delivery, self.tells_of_tls);
                is_new.then_some(Seen {
                    destination: delivery.destination,
                    end: delivery.end,
                    tls,
                })
            }
        }
    }
}

impl Process {
    fn is_new(&mut self, delivery: &Delivery<'_>) -> bool {
        let message = delivery.message.to_owned();
        let key = (message, delivery.destination.clone(), delivery.end);
        let is_new = self.last.as_ref() != Some(&key);
        self.last = Some(key);
        is_new
    }

    fn tls(&self, delivery: &Delivery<'_>, tells_of_tls: bool) -> Tls {
        match &self.tls {
            Some((server, tls)) if server == delivery.relay => *tls,
            // Somebody else may have made the connection.
            _ if delivery.is_reused || !tells_of_tls || delivery.end == End::Unsent => Tls::Untold,
            _ => Tls::Plaintext,
        }
    }
}

/// The name and number of an smtp(8) process, whatever the instance calls itself, and what it says.
fn smtp_process(line: &str) -> Option<(&str, &str)> {
    // Date (one word or three), host, program[pid]: a stranger's words come later.
    let head = line.split(' ').take(6);
    let process = head.into_iter().find_map(|word| word.strip_suffix("]:"))?;
    let (program, _) = process.split_once('[')?;
    let (instance, daemon) = program.rsplit_once('/')?;
    if daemon != "smtp" || instance.is_empty() {
        return None;
    }
    let (_, text) = line.split_once("]: ")?;
    Some((process, text.trim_end()))
}

fn parse(text: &str) -> Option<Line<'_>> {
    match text.split_once(" TLS connection ") {
        Some((trust, rest)) => handshake(trust, rest),
        None => delivery(text).map(Line::Delivery),
    }
}

/// `Trusted TLS connection established to mx.example[192.0.2.1]:25: TLSv1.3 with cipher ...`
fn handshake<'a>(trust: &str, rest: &'a str) -> Option<Line<'a>> {
    let tls = match trust.rsplit(' ').next()? {
        "Verified" => Tls::Proven,
        // A chain to somebody trusted, and nobody has looked for a name in it.
        "Trusted" | "Untrusted" | "Anonymous" => Tls::Unproven,
        _ => return None,
    };
    let server = rest
        .strip_prefix("established to ")
        .or_else(|| rest.strip_prefix("reused to "))?;
    let (server, _) = server.split_once(": ")?;
    Some(Line::Handshake { server, tls })
}

/// `4c1X2y3Z: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (...)`
fn delivery(text: &str) -> Option<Delivery<'_>> {
    let (message, rest) = text.split_once(": to=<")?;
    if message.is_empty() || !message.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let (destination, rest) = domain(rest)?;
    let mut rest = rest.strip_prefix(">, ")?;
    if let Some(original) = rest.strip_prefix("orig_to=<") {
        // Its local part may hold anything; behind it comes the relay.
        rest = match domain(original) {
            Some((_, behind)) => behind.strip_prefix(">, ")?,
            None => original.split_once(">, ")?.1,
        };
    }
    let (relay, rest) = rest.strip_prefix("relay=")?.split_once(", ")?;
    let address = relay
        .rsplit_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    if address.is_some_and(|(address, _)| is_loopback(address) || address.starts_with('/')) {
        return None;
    }
    let (_, status) = rest.split_once("status=")?;
    let end = match status.split(' ').next()? {
        "sent" => End::Sent,
        "deferred" | "bounced" | "undeliverable" => End::Unsent,
        _ => return None,
    };
    Some(Delivery {
        message,
        destination,
        relay,
        is_reused: rest.starts_with("conn_use="),
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMTP: &str = "Nov 24 10:00:00 mail postfix/smtp[4711]: ";

    /// What the last of some lines tells.
    fn last(lines: &[&str]) -> Option<(String, End, Tls)> {
        let mut reader = Reader::default();
        let mut seen = None;
        for line in lines {
            seen = reader.read(line);
        }
        seen.map(|seen| (seen.destination.to_string(), seen.end, seen.tls))
    }

    fn handshake(trust: &str, server: &str) -> String {
        format!(
            "{SMTP}{trust} TLS connection established to {server}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"
        )
    }

    fn delivery(to: &str, relay: &str, status: &str) -> String {
        format!(
            "{SMTP}4QcR1z3zX9: to=<{to}>, {relay}, delay=0.9, delays=0.02/0/0.3/0.58, dsn=2.0.0, status={status}"
        )
    }

    #[test]
    fn a_delivery_in_every_dress() {
        let rest = "4QcR1z3zX9: to=<user@Example.COM>, relay=mx.example.com[192.0.2.1]:25, delay=0.9, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1)";
        let sent = Some(("example.com".to_owned(), End::Sent, Tls::Untold));
        for head in [
            "Nov 24 10:00:00 mail postfix/smtp[4711]: ",
            "Nov  4 10:00:00 mail postfix/smtp[4711]: ",
            "2026-11-24T10:00:00.123456+00:00 mail postfix/smtp[4711]: ",
            "Nov 24 10:00:00 mail postfix-out/smtp[4711]: ",
            "Nov 24 10:00:00 mail postfix/relay/smtp[4711]: ",
            "2026-11-24T10:00:00Z mail postfix-a/bulk/smtp[1]: ",
        ] {
            assert_eq!(last(&[&format!("{head}{rest}")]), sent, "{head}");
        }
        for head in [
            "Nov 24 10:00:00 mail postfix/smtpd[4711]: ",
            "Nov 24 10:00:00 mail postfix/lmtp[4711]: ",
            "Nov 24 10:00:00 mail postfix/error[4711]: ",
            "Nov 24 10:00:00 mail smtp[4711]: ",
            "Nov 24 10:00:00 mail exim[4711]: ",
            "",
        ] {
            assert_eq!(last(&[&format!("{head}{rest}")]), None, "{head}");
        }
    }

    const MX: &str = "relay=mx.b.example[192.0.2.1]:25";

    /// The address, the relay, the status, and the domain and end that follow.
    const DELIVERIES: &[(&str, &str, &str, &str, End)] = &[
        ("a@b.example", MX, "sent (250 ok)", "b.example", End::Sent),
        (
            "a@b.example",
            MX,
            "deferred (host said: 451 to=<x@y.example>)",
            "b.example",
            End::Unsent,
        ),
        (
            "a@b.example",
            "relay=none",
            "deferred (connect to mx[192.0.2.1]:25: timed out)",
            "b.example",
            End::Unsent,
        ),
        (
            "a@b.example",
            "relay=none",
            "bounced (Host or domain name not found)",
            "b.example",
            End::Unsent,
        ),
        (
            "a@b.example",
            "relay=mx.b.example[2001:db8::1]:25",
            "sent (250 ok)",
            "b.example",
            End::Sent,
        ),
        (
            "a@b.example>, orig_to=<root@c.example",
            MX,
            "sent (250 ok)",
            "b.example",
            End::Sent,
        ),
        (
            "a@b.example>, orig_to=<root",
            MX,
            "sent (250 ok)",
            "b.example",
            End::Sent,
        ),
        (
            "\"x@y.example>, relay=\"@b.example",
            MX,
            "sent (250 ok)",
            "b.example",
            End::Sent,
        ),
        (
            "a@[192.0.2.7]",
            MX,
            "sent (250 ok)",
            "[192.0.2.7]",
            End::Sent,
        ),
    ];

    #[test]
    fn what_a_delivery_tells() {
        for (to, relay, status, domain, end) in DELIVERIES {
            let told = last(&[&delivery(to, relay, status)]);
            let want = Some(((*domain).to_owned(), *end, Tls::Untold));
            assert_eq!(told, want, "{to} {relay} {status}");
        }
    }

    #[test]
    fn what_is_no_delivery_to_an_mx_is_passed_over() {
        for line in [
            delivery(
                "a@b.example",
                "relay=127.0.0.1[127.0.0.1]:10025",
                "sent (250 ok)",
            ),
            delivery(
                "a@b.example",
                "relay=filter[/run/filter.sock]",
                "sent (250 ok)",
            ),
            delivery("a@b.example", "relay=mx[192.0.2.1]:25", "odd (250 ok)"),
            delivery("a", "relay=none", "sent (250 ok)"),
            format!("{SMTP}connect to mx.b.example[192.0.2.1]:25: Connection refused"),
            format!(
                "{SMTP}4QcR1z3zX9: host mx[192.0.2.1] said: 451 : to=<a@b.example>, relay=x[192.0.2.1]:25, status=sent (in reply to DATA)"
            ),
            format!("{SMTP}4QcR1z3zX9: to=<a@b.example>, relay="),
        ] {
            assert_eq!(last(&[&line]), None, "{line}");
        }
    }

    #[test]
    fn the_handshake_before_a_delivery_counts() {
        let server = "mx.b.example[192.0.2.1]:25";
        let sent = delivery("a@b.example", &format!("relay={server}"), "sent (250 ok)");
        for (trust, want) in [
            ("Verified", Tls::Proven),
            ("Trusted", Tls::Unproven),
            ("Untrusted", Tls::Unproven),
            ("Anonymous", Tls::Unproven),
        ] {
            let seen = last(&[&handshake(trust, server), &sent]).unwrap();
            assert_eq!(seen.2, want, "{trust}");
        }
        let elsewhere = handshake("Verified", "mx.c.example[192.0.2.2]:25");
        assert_eq!(last(&[&elsewhere, &sent]).unwrap().2, Tls::Plaintext);
        let relay = format!("relay={server}, conn_use=2");
        let reused = delivery("a@b.example", &relay, "sent (250 ok)");
        assert_eq!(last(&[&elsewhere, &reused]).unwrap().2, Tls::Untold);
        assert_eq!(last(&[&sent]).unwrap().2, Tls::Untold);
    }

    #[test]
    fn the_recipients_of_a_message_count_once_for_each_domain() {
        let relay = "relay=mx.b.example[192.0.2.1]:25";
        let one = delivery("a@b.example", relay, "sent (250 ok)");
        let two = delivery("b@b.example", relay, "sent (250 ok)");
        assert_eq!(last(&[&one, &two]), None);
        let waits = delivery("b@b.example", relay, "deferred (later)");
        assert!(last(&[&one, &waits]).is_some());
        let other = delivery("b@c.example", relay, "sent (250 ok)");
        assert!(last(&[&one, &other]).is_some());
        let next = two.replace("4QcR1z3zX9", "4QcR1z3zXA");
        assert!(last(&[&one, &next]).is_some());
    }
}
