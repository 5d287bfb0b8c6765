//! A timer for one wait after another.
//!
//! To arm a timer and to disarm it is dear, and nearly every wait ends well before its time. So a connection keeps
//! its timer armed: one that is due for an earlier wait looks, when it fires, how much time the present one has left.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The time for something that may take several waits. It begins with the first one.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    within: Duration,
    at: Option<Instant>,
}

impl Deadline {
    /// So much time.
    pub fn within(within: Duration) -> Self {
        Self { within, at: None }
    }

    fn at(&mut self) -> Instant {
        *self.at.get_or_insert_with(|| Instant::now() + self.within)
    }
}

/// The timer of a connection.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` is over.
    pub(super) fn poll(&mut self, deadline: &mut Deadline, cx: &mut Context<'_>) -> Poll<()> {
        let at = deadline.at();
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() == at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LONG: Duration = Duration::from_mins(10);
    const SHORT: Duration = Duration::from_mins(5);

    /// Waits for `within`, unless it is interrupted earlier.
    async fn wait(timer: &mut Timer, within: Duration, interrupted: Option<Duration>) {
        let mut deadline = Deadline::within(within);
        let over = poll_fn(|cx| timer.poll(&mut deadline, cx));
        match interrupted {
            Some(after) => assert!(tokio::time::timeout(after, over).await.is_err()),
            None => over.await,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_time_whatever_the_one_before_had() {
        for (before, now) in [(SHORT, LONG), (LONG, SHORT), (SHORT, SHORT)] {
            let mut timer = Timer::default();
            wait(&mut timer, before, Some(Duration::from_secs(1))).await;
            let begin = Instant::now();
            wait(&mut timer, now, None).await;
            assert_eq!(begin.elapsed(), now, "{now:?} after {before:?}");
            wait(&mut timer, SHORT, None).await;
            assert_eq!(begin.elapsed(), now + SHORT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_with_the_first_wait_and_is_for_all() {
        let mut timer = Timer::default();
        let mut deadline = Deadline::within(SHORT);
        tokio::time::advance(LONG).await;
        let begin = Instant::now();
        for _ in 0..2 {
            let wait = poll_fn(|cx| timer.poll(&mut deadline, cx));
            let _ = tokio::time::timeout(SHORT / 3, wait).await;
        }
        poll_fn(|cx| timer.poll(&mut deadline, cx)).await;
        assert_eq!(begin.elapsed(), SHORT);
    }
}
