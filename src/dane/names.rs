//! The name in a certificate below an authority (RFC 7672 §3.2.3).

use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::mismatch::MismatchKind;
use crate::name::Host;

/// Whether `certificate`, whose DER is `der`, is for one of `names`. `is_constrained` tells that an
/// authority above may speak for some names only.
pub(super) fn check(
    certificate: &EndEntityCert<'_>,
    der: &CertificateDer<'_>,
    names: &[Host],
    is_constrained: bool,
) -> Result<(), MismatchKind> {
    if names.iter().any(|name| has_dns_id(certificate, name)) {
        return Ok(());
    }
    // A path search holds DNS-IDs against name constraints, and no CN-ID.
    let common_names = if is_constrained {
        Vec::new()
    } else {
        common_names(der)
    };
    let is_for = |name: &Host| common_names.iter().any(|cn| covers(cn, name.as_str()));
    if names.iter().any(is_for) {
        return Ok(());
    }
    let words: Vec<&str> = names.iter().map(Host::as_str).collect();
    Err(MismatchKind::HostMismatch {
        wanted: words.join(" or "),
    })
}

fn has_dns_id(certificate: &EndEntityCert<'_>, name: &Host) -> bool {
    DnsName::try_from(name.as_str()).is_ok_and(|name| {
        certificate
            .verify_is_valid_for_subject_name(&ServerName::DnsName(name))
            .is_ok()
    })
}

/// RFC 7672 §3.2.3: the CN-IDs, which count only where there is no DNS-ID.
fn common_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let has_dns_ids = match certificate.subject_alternative_name() {
        Ok(None) => false,
        Ok(Some(names)) => names.value.general_names.iter().any(is_dns_id),
        Err(_) => true,
    };
    if has_dns_ids {
        return Vec::new();
    }
    let names = certificate.subject().iter_common_name();
    names
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect()
}

/// One that cannot be read may be one.
fn is_dns_id(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::DNSName(_) | GeneralName::Invalid(..))
}

/// RFC 7672 §3.2.3: a wildcard is the whole first label and stands for one label.
fn covers(presented: &str, name: &str) -> bool {
    let Some(parent) = presented.strip_prefix("*.") else {
        return presented.eq_ignore_ascii_case(name);
    };
    let is_below = |(_, rest): (&str, &str)| rest.eq_ignore_ascii_case(parent);
    parent.contains('.') && name.split_once('.').is_some_and(is_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_covers_itself_or_one_label() {
        for (presented, name) in [
            ("mx.example", "mx.example"),
            ("MX.Example", "mx.example"),
            ("*.mail.example", "mx.mail.example"),
        ] {
            assert!(covers(presented, name), "{presented} {name}");
        }
        for (presented, name, why) in [
            ("mx.example", "mx2.example", "another name"),
            ("*.mail.example", "mail.example", "no label"),
            ("*.mail.example", "a.b.mail.example", "two labels"),
            ("m*.mail.example", "mx.mail.example", "part of a label"),
            ("mx.*.example", "mx.mail.example", "not the first label"),
            ("*.example", "mx.example", "a whole top-level domain"),
            ("*", "mx.example", "everything"),
            ("", "mx.example", "nothing"),
        ] {
            assert!(!covers(presented, name), "{presented} {name}: {why}");
        }
    }
}
