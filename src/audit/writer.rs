//! The audit log itself: one JSON object a line, to a file or to stdout, written by a thread of its own.
//!
//! Mail never waits for it. Whoever has a line puts it into a queue; where the queue is full because the disk
//! hangs, the line is lost and counted. Where a write fails (a full disk above all) the log says so once, and
//! each line that did not get whole into the file is counted.
//!
//! The file is only ever appended to, so that it may be truncated under the writer (`copytruncate`). One that was
//! moved away is opened anew on [`Writer::reopen`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Entry;

/// Lines that wait for a slow disk, at most.
const QUEUE: usize = 10_000;
/// Octets that are written at once, about.
const BATCH: usize = 64 * 1024;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// For the owner, and for the group to read.
const MODE: u32 = 0o640;

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

/// The file of the audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write the audit log {}: {error}; make its folder, let the user that waxseal runs as write there, or choose another [audit] file",
    path.display()
)]
pub struct OpenError {
    path: PathBuf,
    error: io::Error,
}

/// Why a line was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The disk hangs, and too many lines wait already.
    QueueFull,
    /// The write failed.
    WriteFailed,
}

impl Lost {
    /// The `reason` label of the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::WriteFailed => "write-failed",
        }
    }
}

/// Counts lines that are lost.
pub type Losses = Arc<dyn Fn(Lost, u64) + Send + Sync>;

/// The way to the thread that writes.
pub(super) struct Writer {
    queue: SyncSender<Order>,
    orders: Arc<Orders>,
    losses: Losses,
    ended: Mutex<Receiver<()>>,
}

/// What lies in the queue.
enum Order {
    Line(Arc<Entry>),
    /// Look at [`Orders`].
    Look,
}

/// Orders that reach the thread even where the queue is full.
#[derive(Default)]
struct Orders {
    reopen: AtomicBool,
    end: AtomicBool,
}

impl Writer {
    /// Opens the place and begins to write; blocks.
    pub(super) fn open(place: Place, losses: Losses) -> Result<Self, OpenError> {
        let sink = Sink::open(place)?;
        Self::start(sink, QUEUE, losses)
    }

    fn start(sink: Sink, queue: usize, losses: Losses) -> Result<Self, OpenError> {
        let path = sink.place.path().to_owned();
        let (queue, lines) = sync_channel(queue);
        let (alive, ended) = sync_channel(0);
        let orders = Arc::new(Orders::default());
        let scribe = Scribe {
            sink,
            lines,
            orders: Arc::clone(&orders),
            losses: Arc::clone(&losses),
            trouble: Trouble::None,
        };
        let thread = thread::Builder::new().name("audit".to_owned());
        let started = thread.spawn(move || {
            scribe.run();
            drop(alive);
        });
        started.map_err(|error| OpenError { path, error })?;
        Ok(Self {
            queue,
            orders,
            losses,
            ended: Mutex::new(ended),
        })
    }

    /// Puts a line into the queue; never blocks.
    pub(super) fn put(&self, entry: Arc<Entry>) {
        if self.queue.try_send(Order::Line(entry)).is_err() {
            (self.losses)(Lost::QueueFull, 1);
        }
    }

    /// Opens the file anew, at the same path.
    pub(super) fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes what is in the queue and ends the thread; blocks, but not for ever.
    pub(super) fn end(&self) {
        self.orders.end.store(true, Ordering::Release);
        self.wake();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ended_or_too_late = ended.recv_timeout(LAST_LINES);
    }

    /// Where the queue is full the thread is awake.
    fn wake(&self) {
        let _awake = self.queue.try_send(Order::Look);
    }
}

/// The thread that writes.
struct Scribe {
    sink: Sink,
    lines: Receiver<Order>,
    orders: Arc<Orders>,
    losses: Losses,
    trouble: Trouble,
}

/// Whether the last write failed, and how it left the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// Nothing of a line was written.
    Failing,
    /// Half a line was written.
    HalfALine,
}

impl Scribe {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(order) = self.next() {
            self.gather(order, &mut batch);
            if self.orders.reopen.swap(false, Ordering::AcqRel) {
                self.sink.reopen();
            }
            self.write(&batch);
            batch.clear();
        }
    }

    /// Waits for the next order; after the order to end only what is in the queue is left.
    fn next(&self) -> Option<Order> {
        if self.orders.end.load(Ordering::Acquire) {
            self.lines.try_recv().ok()
        } else {
            self.lines.recv().ok()
        }
    }

    /// Renders what is in the queue.
    fn gather(&self, first: Order, batch: &mut Vec<u8>) {
        let mut next = Some(first);
        while let Some(order) = next {
            if let Order::Line(entry) = order {
                entry.write_line(batch);
            }
            if batch.len() >= BATCH {
                return;
            }
            next = self.lines.try_recv().ok();
        }
    }

    fn write(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        // What is left of a line that broke off must not spoil the next one.
        let mended = match self.trouble {
            Trouble::HalfALine => self.sink.write_all(b"\n").map_err(|error| (0, error)),
            Trouble::None | Trouble::Failing => Ok(()),
        };
        match mended.and_then(|()| write_counted(&mut self.sink, batch)) {
            Ok(()) => self.recovered(),
            Err((written, error)) => self.failed(batch, written, &error),
        }
    }

    fn recovered(&mut self) {
        if self.trouble != Trouble::None {
            tracing::warn!("the audit log is written again; lines are missing from it");
            self.trouble = Trouble::None;
        }
    }

    /// Of what failed the whole lines are in the file.
    fn failed(&mut self, batch: &[u8], written: usize, error: &io::Error) {
        if self.trouble == Trouble::None {
            tracing::error!(%error, "the audit log cannot be written, and lines are lost; mail goes on");
        }
        let (in_file, lost) = batch.split_at(written);
        self.trouble = match in_file.last() {
            None => self.trouble.or_failing(),
            Some(b'\n') => Trouble::Failing,
            Some(_) => Trouble::HalfALine,
        };
        let lost = memchr::memchr_iter(b'\n', lost).count();
        (self.losses)(Lost::WriteFailed, lost as u64);
    }
}

impl Trouble {
    fn or_failing(self) -> Self {
        match self {
            Self::HalfALine => Self::HalfALine,
            Self::None | Self::Failing => Self::Failing,
        }
    }
}

/// Like `write_all`, and an error tells how much was written before it.
fn write_counted(sink: &mut impl Write, octets: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < octets.len() {
        match sink.write(&octets[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    sink.flush().map_err(|error| (written, error))
}

/// The open file, or whatever stands in for it.
struct Sink {
    place: Place,
    to: Box<dyn Write + Send>,
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Stdout => Path::new("stdout"),
            Self::File(path) => path,
        }
    }
}

impl Sink {
    fn open(place: Place) -> Result<Self, OpenError> {
        let to: Box<dyn Write + Send> = match &place {
            Place::Stdout => Box::new(io::stdout()),
            Place::File(path) => Box::new(append_to(path)?),
        };
        Ok(Self { place, to })
    }

    /// Keeps the old file where there is no new one.
    fn reopen(&mut self) {
        if let Place::File(path) = &self.place {
            match append_to(path) {
                Ok(file) => {
                    self.to = Box::new(file);
                    tracing::info!(path = %path.display(), "the audit log is opened anew");
                }
                Err(error) => tracing::error!(%error, "the audit log goes on in the old file"),
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.to.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn append_to(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE);
    options.open(path).map_err(|error| OpenError {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests;
