//! Hand-made certificates that strict parsers refuse, for tests.

use rcgen::{Certificate, CertificateParams, KeyPair, SigningKey};

use super::{contents, element};

/// One element of DER.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let length = match length {
        [0, short @ 0..128] => vec![short],
        [0, long] => vec![0x81, long],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &length[..], contents].concat()
}

/// The elements inside one.
fn inside(der: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = contents(der).unwrap();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let next = element(rest).unwrap();
        found.push(next.whole.to_vec());
        rest = next.rest;
    }
    found
}

/// The certificate with other elements in its TBS, signed again. They are version, serial number,
/// signature, issuer, validity, subject, key and extensions.
pub(crate) fn altered(
    certificate: &Certificate,
    key: &KeyPair,
    alter: impl FnOnce(&mut Vec<Vec<u8>>),
) -> Vec<u8> {
    let [tbs, algorithm, _] = inside(certificate.der()).try_into().unwrap();
    let mut parts = inside(&tbs);
    alter(&mut parts);
    let tbs = tlv(0x30, &parts.concat());
    let signature = [&[0][..], &key.sign(&tbs).unwrap()].concat();
    tlv(0x30, &[tbs, algorithm, tlv(0x03, &signature)].concat())
}

/// The certificate as X.509 version 1 has it: no version, no extensions.
pub(crate) fn version_1(certificate: &Certificate, key: &KeyPair) -> Vec<u8> {
    altered(certificate, key, |parts| {
        parts.truncate(7);
        parts.remove(0);
    })
}

/// Certificates with this key that webpki does not take, and what is odd about them.
pub(crate) fn certificates(key: &KeyPair) -> Vec<(&'static str, Vec<u8>)> {
    let params = CertificateParams::new(vec!["mx.test".to_owned()]).unwrap();
    let plain = params.self_signed(key).unwrap();
    let with = |at: usize, part: Vec<u8>| altered(&plain, key, |parts| parts[at] = part);
    let extensions = |contents: &[u8]| with(7, tlv(0xa3, contents));
    let mut long = altered(&plain, key, |_| {});
    // The same length in one octet more than it takes.
    long.splice(1..2, [0x83, 0]);
    vec![
        ("version 1", version_1(&plain, key)),
        ("version 2", with(0, tlv(0xa0, &[2, 1, 1]))),
        (
            "a version that does not exist",
            with(0, tlv(0xa0, &[2, 1, 9])),
        ),
        ("no serial number but a text", with(1, tlv(0x0c, b"seven"))),
        ("dates that are none", with(4, tlv(0x0c, b"for ever"))),
        (
            "another algorithm inside than outside",
            with(2, tlv(0x30, &[])),
        ),
        ("extensions that are none", extensions(&[0xff; 9])),
        ("an unknown critical extension", {
            let extension = [tlv(6, &[42, 3]), tlv(1, &[0xff]), tlv(4, &[])].concat();
            extensions(&tlv(0x30, &tlv(0x30, &extension)))
        }),
        ("a length in too many octets", long),
    ]
}
