//! The word of a validating resolver: the AD bit of its answers.
//!
//! RFC 4035 §4.9.3: a stub may believe the AD bit only over a channel that nobody else writes to, which
//! is loopback or what the operator vouches for. AD speaks for the whole answer: every CNAME, and the
//! records or the denial at the end. Where a resolver finds an answer bogus it says SERVFAIL; the same
//! question with CD set tells that from a server that is broken, for the words of the reply only.

use hickory_resolver::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message, Query, ResponseCode,
};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::chain::{Chain, End, cname, rrset};
use super::servers::Servers;
use super::{failure, is_code};
use crate::dns::{LookupError, Security};

/// RFC 9715 §3.2 and the DNS flag day of 2020: datagrams that no path fragments.
const MAX_PAYLOAD: u16 = 1232;

/// Whether the AD bit is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ad {
    /// It is.
    Believed,
    /// It is not: every answer is insecure.
    Ignored,
}

/// Follows `name` to its end.
pub(super) async fn look_up(
    servers: &Servers,
    name: Name,
    kind: RecordType,
    ad: Ad,
) -> Result<End, LookupError> {
    let mut chain = Chain::new(name);
    loop {
        let response = ask(servers, &chain.name, kind).await?;
        let security = match ad {
            Ad::Believed if response.metadata.authentic_data => Security::Secure,
            _ => Security::Insecure,
        };
        let before = chain.name.clone();
        if kind != RecordType::CNAME {
            // By name, not by the order of the records, which means nothing.
            while let Some((target, ttl)) = cname(&response, &chain.name) {
                chain.follow(target, security, ttl)?;
            }
        }
        let records = rrset(&response, &chain.name, kind);
        if !records.is_empty() {
            return Ok(chain.records(&records, security));
        }
        if chain.name == before || is_denial(&response) {
            return Ok(chain.absence(&response, security));
        }
        // The server stopped half-way, as an authoritative one does: the rest is asked for.
    }
}

fn is_denial(response: &DnsResponse) -> bool {
    response.metadata.response_code == ResponseCode::NXDomain || response.negative_ttl().is_some()
}

async fn ask(servers: &Servers, name: &Name, kind: RecordType) -> Result<DnsResponse, LookupError> {
    match servers.ask(request(name, kind)).await {
        Ok(response) => Ok(response),
        Err(error) if is_code(&error, ResponseCode::ServFail) => {
            Err(why_servfail(servers, name, kind).await)
        }
        Err(error) => Err(failure(&error)),
    }
}

/// Bogus where the same question without checking has an answer.
async fn why_servfail(servers: &Servers, name: &Name, kind: RecordType) -> LookupError {
    let mut unchecked = request(name, kind);
    unchecked.metadata.checking_disabled = true;
    match servers.ask(unchecked).await {
        Ok(_) => LookupError::Bogus,
        Err(_) => LookupError::ServFail,
    }
}

fn request(name: &Name, kind: RecordType) -> DnsRequest {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), kind));
    message.metadata.recursion_desired = true;
    // RFC 6840 §5.7: the AD bit of a query asks for the AD bit of the answer, without any signatures.
    message.metadata.authentic_data = true;
    message
        .edns
        .get_or_insert_with(Edns::new)
        .set_max_payload(MAX_PAYLOAD);
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    DnsRequest::new(message, options)
}
