//! What a finished TLS handshake showed: evidence, not yet judged.

use std::fmt;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;

use crate::x509;

/// A TLS version that waxseal speaks; nothing older exists here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    /// As Postfix logs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        })
    }
}

/// Whether a handshake was a full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// The server proved possession of its key now.
    Full,
    /// The session continues an earlier one; the chain is that one's.
    Resumed,
}

/// The result of a TLS handshake whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The version agreed on.
    pub version: TlsVersion,
    /// The cipher suite, by its IANA name.
    pub cipher: &'static str,
    /// The key exchange group, by its IANA name; `none` where TLS 1.2 resumes.
    pub key_exchange: &'static str,
    /// Full or resumed.
    pub resumption: Resumption,
    /// The certificates that the server sent, its own first; never empty.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A channel to an MX, as the judge sees it.
#[derive(Debug, Clone, Copy)]
pub enum Channel<'a> {
    /// In the clear, and why.
    Plaintext(WhyPlaintext),
    /// TLS.
    Tls(&'a Handshake),
}

/// Why a channel has no TLS. "Not offered" and "failed" are told apart, because stripping looks like
/// the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyPlaintext {
    /// The MX does not announce STARTTLS (or the operator asked for plaintext).
    NotOffered,
    /// The MX announced STARTTLS and then refused the command with this code.
    Refused(u16),
    /// A handshake with this host failed before; this is the second, fresh connection.
    HandshakeFailed,
}

impl fmt::Display for WhyPlaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str("STARTTLS is not offered, or not wanted"),
            Self::Refused(code) => write!(f, "STARTTLS is offered and then refused with {code}"),
            Self::HandshakeFailed => {
                f.write_str("the TLS handshake failed on an earlier connection")
            }
        }
    }
}

/// A SHA-256 digest of a certificate or of its public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The digest of `der`.
    pub fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(bytes)
    }

    /// The digest of a certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Self {
        Self::of(certificate)
    }

    /// The digest of a certificate's `SubjectPublicKeyInfo`; `None` where the certificate cannot be read.
    pub fn of_public_key(certificate: &CertificateDer<'_>) -> Option<Self> {
        x509::public_key(certificate).map(Self::of)
    }

    /// Parses `sha256:` and 64 hexadecimal digits, with or without colons between the octets.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, digits) = text.split_once(':')?;
        if !algorithm.eq_ignore_ascii_case("sha256") {
            return None;
        }
        let hex: Vec<u8> = digits.bytes().filter(|b| *b != b':').collect();
        if hex.len() != 64 || !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    /// `sha256:` and 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_what_it_prints() {
        let print = Fingerprint::of(b"wax");
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        let colons: Vec<String> = print.0.iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(
            Fingerprint::parse(&format!("SHA256:{}", colons.join(":"))),
            Some(print)
        );
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for bad in [
            "",
            "sha256",
            "sha256:",
            "md5:00",
            "sha256:zz",
            &format!("sha256:{}", "+1".repeat(32)),
        ] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
