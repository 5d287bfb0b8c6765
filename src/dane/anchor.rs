//! Usage 2 (DANE-TA): from the server's certificate a valid chain leads to the authority of a record.

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime as PkiTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::mismatch::MismatchKind;
use super::names;
use super::presented::Presented;
use crate::dns::Tlsa;
use crate::name::Host;
use crate::time::UnixTime;
use crate::x509;

/// How many authorities that only a record knows are tried; each may take many signatures.
const MAX_BROUGHT: usize = 32;

/// The authorities that a chain may lead to, each tried at most once.
pub(super) struct Authorities<'c> {
    names: &'c [Host],
    chain: &'c [Presented<'c>],
    issuers: Vec<CertificateDer<'c>>,
    now: UnixTime,
    tried: Vec<Option<Result<(), MismatchKind>>>,
    brought: usize,
}

impl<'c> Authorities<'c> {
    pub(super) fn new(
        names: &'c [Host],
        chain: &'c [Presented<'c>],
        issuers: Vec<CertificateDer<'c>>,
        now: UnixTime,
    ) -> Self {
        Self {
            names,
            chain,
            issuers,
            now,
            tried: vec![None; chain.len()],
            brought: 0,
        }
    }

    /// Holds the chain against a record of usage 2. The answer is the depth of the authority, or none
    /// where the record itself brought it.
    pub(super) fn judge(&mut self, tlsa: &Tlsa) -> Result<Option<usize>, MismatchKind> {
        let mut closest = MismatchKind::NoMatch;
        // A server is not its own authority, whichever way the record puts it.
        if self.chain.first().is_none_or(|leaf| leaf.is(tlsa)) {
            return Err(closest);
        }
        for depth in 1..self.chain.len() {
            if !self.chain[depth].is(tlsa) {
                continue;
            }
            match self.sent(depth) {
                Ok(()) => return Ok(Some(depth)),
                Err(kind) => closest = closest.or(kind),
            }
        }
        if closest == MismatchKind::NoMatch && tlsa.matching == 0 {
            return self.brought(tlsa).map(|()| None);
        }
        Err(closest)
    }

    /// The authority is a certificate that the server sent.
    fn sent(&mut self, depth: usize) -> Result<(), MismatchKind> {
        if let Some(verdict) = &self.tried[depth] {
            return verdict.clone();
        }
        let verdict = self.certificate(self.chain[depth].der);
        self.tried[depth] = Some(verdict.clone());
        verdict
    }

    /// RFC 7671 §5.2.2, §5.2.3: with matching type 0 the record is the authority, and the server need
    /// not send it.
    fn brought(&mut self, tlsa: &Tlsa) -> Result<(), MismatchKind> {
        self.brought += 1;
        if self.brought > MAX_BROUGHT {
            let why = "too many authorities to try";
            return Err(MismatchKind::NotTrusted(why.to_owned()));
        }
        match tlsa.selector {
            0 => self.certificate(&CertificateDer::from(tlsa.data.as_slice())),
            _ => self.key(&tlsa.data),
        }
    }

    fn certificate(&self, authority: &CertificateDer<'_>) -> Result<(), MismatchKind> {
        let depth = fit(authority, self.now)?;
        let anchor = webpki::anchor_from_trusted_cert(authority).map_err(|error| kind(&error))?;
        self.search(&[anchor], depth)
    }

    /// A bare key has no name, so it goes by the names that the chain calls its issuers.
    fn key(&self, key: &[u8]) -> Result<(), MismatchKind> {
        let outlines = self.chain.iter().filter_map(|shown| shown.outline);
        let mut names: Vec<&[u8]> = outlines.map(|outline| outline.issuer).collect();
        names.sort_unstable();
        names.dedup();
        let anchor = |name| {
            Some(TrustAnchor {
                subject: x509::contents(name)?.into(),
                subject_public_key_info: x509::contents(key)?.into(),
                name_constraints: None,
            })
        };
        let anchors: Vec<TrustAnchor<'_>> = names.into_iter().filter_map(anchor).collect();
        self.search(&anchors, None)
    }

    /// Searches a path from the server's certificate to one of `anchors` (RFC 5280 §6), with at most
    /// `depth` authorities in between, and looks at the name.
    fn search(&self, anchors: &[TrustAnchor<'_>], depth: Option<u32>) -> Result<(), MismatchKind> {
        let leaf = self.chain.first().map(|shown| shown.der);
        let leaf = leaf.ok_or(MismatchKind::NoMatch)?;
        let certificate = EndEntityCert::try_from(leaf).map_err(|error| kind(&error))?;
        let path = certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                anchors,
                &self.issuers,
                PkiTime::since_unix_epoch(self.now.since_epoch()),
                KeyUsage::server_auth(),
                None,
                Some(&|path| is_short(path, depth)),
            )
            .map_err(|error| kind(&error))?;
        let is_constrained = path.anchor().name_constraints.is_some()
            || self.issuers.iter().any(|issuer| is_constrained(issuer));
        names::check(&certificate, leaf, self.names, is_constrained)
    }
}

/// Whether a certificate may be an authority now, and how many there may be below it. A path search
/// takes an anchor's word for both.
fn fit(authority: &[u8], now: UnixTime) -> Result<Option<u32>, MismatchKind> {
    let invalid = |why: &str| MismatchKind::Invalid(why.to_owned());
    let (_, certificate) = X509Certificate::from_der(authority)
        .map_err(|_| invalid("the authority's certificate cannot be read"))?;
    let validity = certificate.validity();
    let now = i64::try_from(now.0).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(MismatchKind::Expired);
    }
    // RFC 5280 §6.1.4 (k): in version 1 nothing can say that it is an authority.
    if certificate.version() == X509Version::V1 {
        return Ok(None);
    }
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => Ok(constraints.value.path_len_constraint),
        _ => Err(invalid("the authority's certificate is not a CA's")),
    }
}

fn is_short(path: &VerifiedPath<'_>, depth: Option<u32>) -> Result<(), Error> {
    let between = path.intermediate_certificates().count();
    match depth.and_then(|depth| usize::try_from(depth).ok()) {
        Some(depth) if between > depth => Err(Error::PathLenConstraintViolated),
        _ => Ok(()),
    }
}

/// Whether an issuer may speak for some names only, or cannot be read.
fn is_constrained(issuer: &[u8]) -> bool {
    match X509Certificate::from_der(issuer) {
        Ok((_, certificate)) => !matches!(certificate.name_constraints(), Ok(None)),
        Err(_) => true,
    }
}

fn kind(error: &Error) -> MismatchKind {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => MismatchKind::Expired,
        Error::UnknownIssuer => {
            MismatchKind::NotTrusted("no chain leads to the authority".to_owned())
        }
        Error::InvalidSignatureForPublicKey => {
            MismatchKind::NotTrusted("a signature in the chain is wrong".to_owned())
        }
        _ => MismatchKind::Invalid(error.to_string()),
    }
}
