//! What an envelope becomes for one MX: the parameters that it offers, and no others.
//!
//! SIZE is advice and may be left out. DSN requests end where DSN ends (RFC 3461 §5.2.2): the MX that does
//! not know them sends no success reports. 8BITMIME and SMTPUTF8 say what the message is, and a message
//! cannot be said to an MX that does not take its kind; waxseal converts nothing.

use crate::smtp::capabilities::{Capabilities, Extension};
use crate::smtp::command::{Body, Charset, Mail, Recipient};
use crate::smtp::reply::Reply;

/// A message of a kind that the MX does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbridgeable {
    /// The message has octets above 127, and the MX lacks 8BITMIME.
    #[error("the message is 8-bit and the MX does not offer 8BITMIME")]
    EightBitMime,
    /// Addresses or header are UTF-8, and the MX lacks SMTPUTF8.
    #[error("the message needs SMTPUTF8, which the MX does not offer")]
    SmtpUtf8,
}

impl Unbridgeable {
    /// The reply to the recipient.
    pub fn reply(self) -> Reply {
        let (code, enhanced) = match self {
            // RFC 6152 §3 leaves a relay that does not convert only the return as undeliverable.
            Self::EightBitMime => (554, "5.6.3"),
            // RFC 6531 §3.5.
            Self::SmtpUtf8 => (553, "5.6.7"),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

/// Appends the MAIL line for an MX that offers `offers`.
pub fn mail_line(
    mail: &Mail,
    offers: &Capabilities,
    out: &mut Vec<u8>,
) -> Result<(), Unbridgeable> {
    if mail.body == Some(Body::EightBitMime) && !offers.has(Extension::EightBitMime) {
        return Err(Unbridgeable::EightBitMime);
    }
    if mail.charset == Charset::Utf8 && !offers.has(Extension::SmtpUtf8) {
        return Err(Unbridgeable::SmtpUtf8);
    }
    begin("MAIL FROM:<", mail.path.as_str(), out);
    if let Some(size) = mail.size.filter(|_| offers.has(Extension::Size)) {
        parameter("SIZE", Some(&size.to_string()), out);
    }
    if offers.has(Extension::EightBitMime) {
        parameter("BODY", mail.body.map(Body::word), out);
    }
    if mail.charset == Charset::Utf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    if offers.has(Extension::Dsn) {
        parameter("RET", mail.ret.as_deref(), out);
        parameter("ENVID", mail.envid.as_deref(), out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends the RCPT line for an MX that offers `offers`.
pub fn rcpt_line(recipient: &Recipient, offers: &Capabilities, out: &mut Vec<u8>) {
    begin("RCPT TO:<", recipient.path.as_str(), out);
    if offers.has(Extension::Dsn) {
        let orcpt = recipient.orcpt.as_ref().map(|orcpt| orcpt.0.as_str());
        parameter("NOTIFY", recipient.notify.as_deref(), out);
        parameter("ORCPT", orcpt, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn begin(command: &str, path: &str, out: &mut Vec<u8>) {
    append(&[command, path, ">"], out);
}

fn parameter(keyword: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        append(&[" ", keyword, "=", value], out);
    }
}

fn append(words: &[&str], out: &mut Vec<u8>) {
    for word in words {
        // The parser lets no control character through, so a line cannot become two.
        debug_assert!(!word.contains(['\r', '\n']));
        out.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::command::{Command, parse};

    const ALL: &str = "SIZE 8BITMIME SMTPUTF8 DSN";

    fn offers(keywords: &str) -> Capabilities {
        let lines: Vec<_> = std::iter::once("mx").chain(keywords.split(' ')).collect();
        Capabilities::parse(&Reply::multiline(250, &lines))
    }

    fn bridged(line: &str, keywords: &str) -> Result<String, Unbridgeable> {
        let mut out = Vec::new();
        match parse(line.as_bytes()).unwrap() {
            Command::Mail(mail) => mail_line(&mail, &offers(keywords), &mut out)?,
            Command::Rcpt(recipient) => rcpt_line(&recipient, &offers(keywords), &mut out),
            other => panic!("{other:?}"),
        }
        Ok(String::from_utf8(out)
            .unwrap()
            .trim_end_matches("\r\n")
            .to_owned())
    }

    #[test]
    fn an_mx_gets_the_parameters_that_it_offers() {
        let mail = "MAIL FROM:<a@b.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x";
        let rcpt = "RCPT TO:<c@d.example> NOTIFY=NEVER ORCPT=rfc822;c@d.example";
        assert_eq!(bridged(mail, ALL).unwrap(), mail);
        assert_eq!(bridged(rcpt, ALL).unwrap(), rcpt);
        assert_eq!(bridged(rcpt, "SIZE").unwrap(), "RCPT TO:<c@d.example>");
        let plain = "MAIL FROM:<a@b.example> SIZE=5 BODY=7BIT RET=FULL";
        assert_eq!(
            bridged(plain, "PIPELINING").unwrap(),
            "MAIL FROM:<a@b.example>"
        );
        assert_eq!(bridged("MAIL FROM:<>", ALL).unwrap(), "MAIL FROM:<>");
    }

    #[test]
    fn a_message_is_never_said_to_an_mx_that_does_not_take_its_kind() {
        let bad = |line: &str, status: &str| {
            assert_eq!(
                bridged(line, "SIZE DSN").unwrap_err().reply().status(),
                status,
                "{line}"
            );
        };
        bad("MAIL FROM:<a@b.example> BODY=8BITMIME", "554 5.6.3");
        bad("MAIL FROM:<a@b.example> SMTPUTF8", "553 5.6.7");
    }
}
