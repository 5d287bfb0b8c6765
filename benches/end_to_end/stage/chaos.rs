//! A sink that breaks connections by chance, and a sender that tries until it has been told `250`.

use std::io::{Error, Result};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::AsyncWriteExt;

use crate::wire::Wire;

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chaos {
    pub(crate) seed: u64,
    /// One step in so many.
    pub(crate) odds: u32,
}

/// Longer than waxseal waits under chaos.
const STALL: Duration = Duration::from_secs(2);

/// What chance has in store for one connection.
pub(crate) struct Whim(Option<(StdRng, u32)>);

impl Whim {
    /// That of the connection with this number; without chaos nothing ever happens.
    pub(crate) fn new(chaos: Option<Chaos>, number: u64) -> Self {
        Self(chaos.map(|Chaos { seed, odds }| (StdRng::seed_from_u64(seed ^ (number << 20)), odds)))
    }

    /// Goes on, or ends the connection: closed, reset, or after a long silence.
    pub(crate) async fn strike(&mut self, wire: &mut Wire) -> Result<()> {
        let Some((chance, odds)) = &mut self.0 else {
            return Ok(());
        };
        if !chance.random_ratio(1, *odds) {
            return Ok(());
        }
        match chance.random_range(0..4) {
            0 => tokio::time::sleep(STALL).await,
            1 => wire.send(b"421 4.3.2 Not now\r\n").await?,
            2 => return Err(Error::other("reset")),
            _ => {}
        }
        self.farewell(wire).await?;
        Err(Error::other("closed"))
    }

    /// Closes, so that what was sent arrives.
    pub(crate) async fn farewell(&self, wire: &mut Wire) -> Result<()> {
        wire.stream.shutdown().await?;
        while self.0.is_some() {
            wire.arrived.clear();
            wire.more().await?;
        }
        Ok(())
    }
}
