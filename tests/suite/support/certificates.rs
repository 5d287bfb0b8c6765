//! `support::ca`: each fault is the one that its name says, judged by webpki.

use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use crate::support::ca::{Ca, Identity, KeyType, Leaf, Period, Role, Signer};

/// 2026-01-01.
const NOW: u64 = 1_767_225_600;

fn verify(ca: &Ca, identity: &Identity, name: &str) -> Result<(), Error> {
    let root = ca.certificate();
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    let leaf = EndEntityCert::try_from(&identity.chain[0])?;
    let (rest, usage) = (&identity.chain[1..], KeyUsage::server_auth());
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        rest,
        now,
        usage,
        None,
        None,
    )?;
    leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
}

#[test]
fn a_faultless_certificate_verifies() {
    let ca = Ca::new("Test CA");
    verify(&ca, &ca.server("mx.test"), "mx.test").unwrap();
    for key_type in [KeyType::P256, KeyType::P384, KeyType::Ed25519] {
        let leaf = Leaf {
            key_type,
            ..Leaf::for_host("mx.test")
        };
        verify(&ca, &ca.issue(leaf), "mx.test").unwrap();
    }
    for signer in [Signer::CaSent, Signer::Intermediate] {
        let identity = ca.issue(Leaf {
            signer,
            ..Leaf::for_host("mx.test")
        });
        verify(&ca, &identity, "mx.test").unwrap();
        assert_eq!(identity.chain.len(), 2);
    }
    verify(&ca, &ca.server("*.example.test"), "mx.example.test").unwrap();
    verify(&ca, &ca.server("127.0.0.1"), "127.0.0.1").unwrap();
}

#[test]
fn a_faulty_certificate_fails_for_its_own_reason() {
    let host = || Leaf::for_host("mx.test");
    let signed_by = |signer| Leaf { signer, ..host() };
    let no_san = Leaf {
        common_name: Some("mx.test".to_owned()),
        ..Leaf::default()
    };
    let ca = Ca::new("Test CA");
    for (leaf, reason) in [
        (
            Leaf {
                period: Period::Expired,
                ..host()
            },
            "CertExpired",
        ),
        (
            Leaf {
                period: Period::NotYet,
                ..host()
            },
            "CertNotValidYet",
        ),
        (Leaf::for_host("other.test"), "CertNotValidForName"),
        (no_san, "CertNotValidForName"),
        (signed_by(Signer::Itself), "UnknownIssuer"),
        (signed_by(Signer::IntermediateNotSent), "UnknownIssuer"),
        (signed_by(Signer::Stranger), "InvalidSignatureForPublicKey"),
        (
            Leaf {
                role: Role::Ca,
                ..host()
            },
            "CaUsedAsEndEntity",
        ),
        (
            Leaf {
                role: Role::ClientOnly,
                ..host()
            },
            "RequiredEkuNotFound",
        ),
    ] {
        let verdict = format!("{:?}", verify(&ca, &ca.issue(leaf), "mx.test"));
        assert!(
            verdict.starts_with(&format!("Err({reason}")),
            "{reason}: {verdict}"
        );
    }
}

#[test]
fn fingerprints_and_pem_belong_to_the_certificate() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf {
        signer: Signer::Intermediate,
        ..Leaf::for_host("mx.test")
    });
    assert_eq!(identity.sha256().len(), 64);
    assert_ne!(identity.sha256(), identity.public_key_sha256());
    assert_eq!(
        identity.dane_ee(),
        format!("3 1 1 {}", identity.public_key_sha256())
    );
    let pem: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(identity.chain_pem().as_bytes()).collect();
    assert_eq!(pem.unwrap(), identity.chain);
    assert!(
        identity
            .key_pem()
            .starts_with("-----BEGIN PRIVATE KEY-----")
    );
    assert_eq!(
        CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap(),
        ca.certificate()
    );
}
