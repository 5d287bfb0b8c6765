//! Small messages, which go to an MX with CHUNKING in one chunk (RFC 3030), where the operator wants that.
//!
//! DATA costs a round trip before the content, in which nobody learns anything: an MX that will not have the message
//! can say so behind it. So the MTA gets its 354 from waxseal, and its octets are kept. If the message ends before
//! there are too many, it goes out whole, command and content in one write; else with DATA, as if nothing had been
//! kept, and so from the beginning where the MTA has announced a larger one. What is kept is there once, however
//! many legs there are.

use futures_util::future::join_all;

use crate::net::stream::CHUNK;
use crate::proxy::leg::Leg;
use crate::smtp::data;

/// Octets that are kept, dots and all.
pub(super) const MOST: u64 = CHUNK as u64;

/// What came of a message, for the legs that have heard nothing of it; none where there is no such leg.
#[derive(Debug)]
pub(super) struct Held(Option<Vec<u8>>);

impl Held {
    /// Nothing yet.
    pub(super) fn of(legs: &[Leg]) -> Self {
        Self(legs.iter().any(Leg::holds).then(Vec::new))
    }

    /// Keeps a piece of DATA, or lets go of all of it where it becomes too much.
    pub(super) async fn keep(&mut self, piece: &[u8], legs: &mut [Leg]) {
        if let Some(octets) = &mut self.0 {
            octets.extend_from_slice(piece);
            if octets.len() as u64 > MOST {
                join_all(holding(legs).map(|leg| leg.release(octets))).await;
                self.0 = None;
            }
        }
    }

    /// Sends the message, which has come to its end.
    pub(super) async fn end(self, legs: &mut [Leg]) {
        if let Some(octets) = self.0 {
            let chunk = data::one_chunk(&octets);
            join_all(holding(legs).map(|leg| leg.one_chunk(&chunk))).await;
        }
    }
}

fn holding(legs: &mut [Leg]) -> impl Iterator<Item = &mut Leg> {
    legs.iter_mut().filter(|leg| leg.holds())
}
