//! What is answered: one of five words, a blank, and a text.

use super::{MAX_REPLY, netstring};

/// A reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The value.
    Found(&'a str),
    /// There is none; Postfix goes on as without the table.
    NotFound,
    /// Nobody knows at present, and why. Postfix keeps the mail and tries again later.
    Temp(&'a str),
    /// The answer takes too long, and why; to Postfix it is like [`Reply::Temp`].
    Timeout(&'a str),
    /// Asking again will not help, and why. Postfix keeps the mail, and says that its configuration is wrong.
    Perm(&'a str),
}

impl Reply<'_> {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Found(value) => ("OK ", value),
            Self::NotFound => ("NOTFOUND ", ""),
            Self::Temp(reason) => ("TEMP ", reason),
            Self::Timeout(reason) => ("TIMEOUT ", reason),
            Self::Perm(reason) => ("PERM ", reason),
        }
    }

    /// Writes the reply as it goes over the wire. One that is too long for Postfix becomes a failure: the head
    /// of a policy may ask for less than all of it.
    pub fn write_to(&self, to: &mut Vec<u8>) {
        let (word, text) = self.parts();
        if word.len() + text.len() > MAX_REPLY {
            let reason = "the answer is longer than Postfix takes";
            netstring::write(&["PERM ", reason], to);
        } else {
            netstring::write(&[word, text], to);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(reply: &Reply<'_>) -> String {
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn replies_have_their_words() {
        assert_eq!(wire(&Reply::Found("encrypt")), "10:OK encrypt,");
        // The blank is part of the word (socketmap_table(5)).
        assert_eq!(wire(&Reply::NotFound), "9:NOTFOUND ,");
        assert_eq!(wire(&Reply::Temp("DNS")), "8:TEMP DNS,");
        assert_eq!(wire(&Reply::Timeout("DNS")), "11:TIMEOUT DNS,");
        assert_eq!(wire(&Reply::Perm("no")), "7:PERM no,");
    }

    #[test]
    fn a_policy_is_never_cut() {
        let longest = MAX_REPLY - "OK ".len();
        let whole = wire(&Reply::Found(&"x".repeat(longest)));
        assert!(whole.starts_with("100000:OK xxx"));
        let long = wire(&Reply::Found(&"x".repeat(longest + 1)));
        assert_eq!(long, "44:PERM the answer is longer than Postfix takes,");
    }

    proptest! {
        #[test]
        fn a_reply_is_one_netstring(text in "\\PC{0,100}") {
            for reply in [Reply::Found(&text), Reply::Temp(&text), Reply::Perm(&text)] {
                let (word, _) = reply.parts();
                let content = format!("{word}{text}");
                prop_assert_eq!(wire(&reply), format!("{}:{content},", content.len()));
            }
        }
    }
}
