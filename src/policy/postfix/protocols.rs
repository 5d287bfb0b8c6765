//! The protocol lists of Postfix, such as `>=TLSv1.2` or `!SSLv3:!TLSv1`.

/// What Postfix knows, oldest first.
const NAMES: [&str; 6] = ["sslv2", "sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
/// How many of them waxseal does not speak.
const OLDER: usize = 4;

/// The protocols that a list allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocols([bool; NAMES.len()]);

impl Protocols {
    /// A list that names protocols allows those; one that does not, all that it does not exclude.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut floor, mut ceiling) = (0, NAMES.len() - 1);
        let mut excluded = [false; NAMES.len()];
        let mut named = [false; NAMES.len()];
        for word in text.split(':').filter(|word| !word.is_empty()) {
            let (list, name) = match word.as_bytes() {
                [b'!', ..] => (Some(&mut excluded), &word[1..]),
                [b'>' | b'<', b'=', ..] => (None, &word[2..]),
                _ => (Some(&mut named), word),
            };
            let lower = name.to_ascii_lowercase();
            let Some(at) = NAMES.iter().position(|known| *known == lower) else {
                return Err(format!("`protocols={text}`: `{name}` is no protocol"));
            };
            match list {
                Some(list) => list[at] = true,
                None if word.starts_with('>') => floor = at,
                None => ceiling = at,
            }
        }
        let all = !named.contains(&true);
        Ok(Self(std::array::from_fn(|at| {
            (floor..=ceiling).contains(&at) && !excluded[at] && (all || named[at])
        })))
    }

    /// Whether `name`, in lower case, is allowed.
    pub(super) fn allow(self, name: &str) -> bool {
        let mut allowed = NAMES.iter().zip(self.0);
        allowed.any(|(known, allowed)| *known == name && allowed)
    }

    /// Whether something is allowed that waxseal does not speak.
    pub(super) fn allow_older(self) -> bool {
        self.0[..OLDER].contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_postfix_does() {
        let good = |text: &str, want: &[&str]| {
            let read = Protocols::parse(text).unwrap();
            let allowed: Vec<&str> = NAMES.into_iter().filter(|name| read.allow(name)).collect();
            assert_eq!(allowed, want, "{text}");
        };
        good(">=TLSv1.2", &["tlsv1.2", "tlsv1.3"]);
        good(">=TLSv1.1:<=TLSv1.2", &["tlsv1.1", "tlsv1.2"]);
        good("TLSv1.3", &["tlsv1.3"]);
        good("tlsv1.2:TLSV1.3:!TLSv1.3", &["tlsv1.2"]);
        good("!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", &["tlsv1.2", "tlsv1.3"]);
        good("", &NAMES);
        for bad in ["TLSv2", ">=", "!", ">TLSv1.2", "é"] {
            assert!(Protocols::parse(bad).is_err(), "{bad}");
        }
    }
}
