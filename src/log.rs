//! Log lines to stderr: text for people or JSON for programs.
//!
//! Each line has a time in UTC (RFC 3339), a level, and fields. Nothing here or in the rooms that log
//! ever sees a local part or a line of a message, so no level can reveal one.
//!
//! Mail never waits for the log. A line goes into a queue, and a thread of its own writes it to stderr.
//! Where the reader of stderr is gone, lines are lost; where it is stuck, the queue fills and then lines
//! are lost. No session notices, and the second loss is told as soon as the reader reads again.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{LogFormat, LogSettings};

/// Lines that wait for a slow reader, at most.
const QUEUE: usize = 10_000;
/// How often waxseal looks for lines that were lost.
const LOSS_CHECK: Duration = Duration::from_secs(10);
/// How long the end of the process waits for a slow reader to take the last lines, at most.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the log: {0}")]
pub struct LogError(String);

/// The log of this process; whoever drops it waits until the last lines are written.
#[derive(Debug)]
#[must_use = "without it the last lines are lost"]
pub struct Log {
    lost: ErrorCounter,
    writer: Option<WorkerGuard>,
}

/// Sets up the log of this process; a second time is an error.
pub fn init(settings: &LogSettings) -> Result<Log, LogError> {
    let wrong = |error: &dyn std::fmt::Display| LogError(error.to_string());
    let filter = EnvFilter::try_new(settings.level.directives()).map_err(|error| wrong(&error))?;
    let (queue, log) = Log::to(stderr(), QUEUE);
    let lines = Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(queue)
        // They would be printed to stderr by a macro that panics when nobody reads it.
        .log_internal_errors(false)
        .with_ansi(stderr().is_terminal());
    let done = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| wrong(&error))?;
    Ok(log)
}

impl Log {
    fn to(writer: impl std::io::Write + Send + 'static, queue: usize) -> (NonBlocking, Self) {
        let (queue, writer) = NonBlockingBuilder::default()
            .thread_name("log")
            .lossy(true)
            .buffered_lines_limit(queue)
            .finish(writer);
        let log = Self {
            lost: queue.error_counter(),
            writer: Some(writer),
        };
        (queue, log)
    }

    /// Tells of lost lines, for as long as it is polled.
    pub fn tell_of_losses(&self) -> impl Future<Output = ()> + Send + use<> {
        let lost = self.lost.clone();
        async move {
            let mut told = 0;
            loop {
                tokio::time::sleep(LOSS_CHECK).await;
                let lines = lost.dropped_lines();
                // A warning that is lost itself raises the number, and so the next one follows.
                if lines > told {
                    tracing::warn!(
                        lines,
                        "log lines lost since the start: stderr is read too slowly"
                    );
                    told = lines;
                }
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let writer = self.writer.take();
        let (ended, end) = mpsc::channel::<()>();
        // Where the queue is full the guard prints to stdout, which may be as stuck as stderr or gone.
        let flush = thread::Builder::new().spawn(move || {
            drop(writer);
            drop(ended);
        });
        if flush.is_ok() {
            let _ended_or_too_late = end.recv_timeout(LAST_LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    /// A reader that takes lines only while somebody holds no lock.
    #[derive(Clone, Default)]
    struct Reader(Arc<Mutex<Vec<u8>>>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let reader = Reader::default();
        let (mut queue, log) = Log::to(reader.clone(), 1000);
        (0..1000).for_each(|_| queue.write_all(b"a line\n").unwrap());
        drop(log);
        assert_eq!(reader.0.lock().unwrap().len(), 7000);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_a_stuck_reader_costs_are_told_when_it_reads_again() {
        let reader = Reader::default();
        let (queue, log) = Log::to(reader.clone(), 10);
        let lost = lose_lines(&reader, &queue, &log);
        let subscriber = Subscriber::builder()
            .with_ansi(false)
            .with_writer(queue)
            .finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let telling = tokio::time::timeout(LOSS_CHECK * 3, log.tell_of_losses());
        assert!(telling.await.is_err());
        drop(log);
        let text = String::from_utf8(reader.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("log lines lost").count(), 1, "{text}");
        assert!(text.contains(&format!("lines={lost}")), "{text}");
    }

    /// Writes 100 lines to a stuck reader, which then takes those in the queue; how many were lost.
    fn lose_lines(reader: &Reader, queue: &NonBlocking, log: &Log) -> usize {
        let stuck = reader.0.lock().unwrap();
        let mut queue = queue.clone();
        (0..100).for_each(|_| queue.write_all(b"a line\n").unwrap());
        drop(stuck);
        let lost = log.lost.dropped_lines();
        assert!(lost >= 89, "{lost}");
        while reader.0.lock().unwrap().len() < (100 - lost) * 7 {
            thread::yield_now();
        }
        lost
    }

    #[test]
    fn the_end_does_not_wait_for_a_stuck_reader() {
        let reader = Reader::default();
        let (mut queue, log) = Log::to(reader.clone(), 10);
        let _stuck = reader.0.lock().unwrap();
        (0..100).for_each(|_| queue.write_all(b"a line\n").unwrap());
        let begin = Instant::now();
        drop(log);
        assert!(begin.elapsed() < LAST_LINES * 5);
    }
}
