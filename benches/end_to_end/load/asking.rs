//! What Postfix does with a policy table: so many clients, each of which asks and waits for the answer.

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::load::{Load, Sent, Target, Way};
use crate::stage::policies::domain;
use crate::wire::connect;

struct Questions {
    target: Target,
    /// One for each domain.
    texts: Vec<Vec<u8>>,
    number: usize,
    next: AtomicUsize,
}

/// Asks for all domains in turn; each question is a message of the load.
pub(crate) async fn ask(target: &Target, load: Load) -> Sent {
    let Way::Asking(table) = target.way else {
        panic!("it is no table");
    };
    let questions = Arc::new(Questions {
        target: target.clone(),
        texts: (0..load.domains)
            .map(|number| question(table, number))
            .collect(),
        number: load.messages,
        next: AtomicUsize::new(0),
    });
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..load.at_a_time {
        let questions = Arc::clone(&questions);
        clients.spawn(async move { questions.client().await.expect("an answer") });
    }
    let times = clients.join_all().await.concat();
    Sent {
        elapsed: began.elapsed(),
        times,
        failed: 0,
    }
}

fn question(table: &str, number: usize) -> Vec<u8> {
    let text = format!("{table} {}", domain(number));
    format!("{}:{text},", text.len()).into_bytes()
}

impl Questions {
    async fn client(&self) -> Result<Vec<Duration>> {
        let mut stream = connect(self.target.address).await?;
        let mut times = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.number {
                return Ok(times);
            }
            let began = Instant::now();
            let question = &self.texts[number % self.texts.len()];
            stream.write_all(question).await?;
            let reply = reply(&mut stream).await?;
            times.push(began.elapsed());
            let text = String::from_utf8_lossy(&reply);
            assert!(text.contains(":OK "), "{text} is no policy");
        }
    }
}

async fn reply(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut reply = Vec::with_capacity(512);
    while !whole(&reply) {
        if stream.read_buf(&mut reply).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(reply)
}

/// Whether it is a netstring to its end.
fn whole(reply: &[u8]) -> bool {
    let colon = memchr(b':', reply);
    let length = colon.and_then(|colon| std::str::from_utf8(&reply[..colon]).ok()?.parse().ok());
    let wanted: Option<usize> = length;
    wanted.is_some_and(|wanted| reply.len() == colon.unwrap_or(0) + wanted + 2)
}
