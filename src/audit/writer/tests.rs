use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

use super::*;
use crate::audit::What;
use crate::record::tests::delivered;
use crate::time::UnixTime;

/// Counts what is lost.
#[derive(Clone, Default)]
struct Count([Arc<AtomicU64>; 2]);

impl Count {
    fn losses(&self) -> Losses {
        let count = self.clone();
        Arc::new(move |why, lines| {
            count.of(why).fetch_add(lines, Ordering::SeqCst);
        })
    }

    fn of(&self, why: Lost) -> &AtomicU64 {
        &self.0[usize::from(why == Lost::WriteFailed)]
    }

    fn lost(&self, why: Lost) -> u64 {
        self.of(why).load(Ordering::SeqCst)
    }
}

/// Lines that lead to `to`, by a queue for ten.
fn writer(to: impl Write + Send + 'static, count: &Count) -> Writer {
    let sink = Sink {
        place: Place::Stdout,
        to: Box::new(to),
    };
    Writer::start(sink, 10, count.losses()).unwrap()
}

/// The `n`th line, to be told by its time.
fn put(writer: &Writer, n: u64) {
    writer.put(Arc::new(Entry {
        at: UnixTime(n),
        what: What::Delivery(Arc::new(delivered())),
    }));
}

/// The seconds of the lines; `?` where one is no JSON.
fn told(text: &str) -> String {
    let second = |line: &str| {
        let line: Result<serde_json::Value, _> = serde_json::from_str(line);
        let time = line.ok().map(|line| line["time"].to_string());
        time.map_or("?".to_owned(), |time| time[18..20].to_owned())
    };
    text.lines().map(second).collect::<Vec<_>>().join(" ")
}

#[test]
fn lines_are_appended_for_the_group_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for n in 1..=2 {
        let writer = Writer::open(Place::File(path.clone()), Count::default().losses()).unwrap();
        put(&writer, n);
        writer.end();
    }
    assert_eq!(told(&fs::read_to_string(&path).unwrap()), "01 02");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let old = folder.path().join("audit.jsonl.1");
    let writer = Writer::open(Place::File(path.clone()), Count::default().losses()).unwrap();
    put(&writer, 1);
    fs::rename(&path, &old).unwrap();
    writer.reopen();
    while !path.exists() {
        thread::yield_now();
    }
    put(&writer, 2);
    writer.end();
    let text = |path| fs::read_to_string(path).unwrap();
    let (old, new) = (told(&text(&old)), told(&text(&path)));
    // The order to reopen may overtake a line that is in the queue.
    assert!(
        new == "02" && old == "01" || new == "01 02" && old.is_empty(),
        "{old} | {new}"
    );
}

#[test]
fn a_file_may_be_truncated_under_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let writer = Writer::open(Place::File(path.clone()), Count::default().losses()).unwrap();
    put(&writer, 1);
    while told(&fs::read_to_string(&path).unwrap()) != "01" {
        thread::yield_now();
    }
    File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    put(&writer, 2);
    writer.end();
    assert_eq!(told(&fs::read_to_string(&path).unwrap()), "02");
}

#[test]
fn a_file_that_cannot_be_opened_says_what_to_do() {
    let place = Place::File("/proc/no/audit.jsonl".into());
    let error = Writer::open(place, Count::default().losses())
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot write the audit log /proc/no/audit.jsonl: "),
        "{text}"
    );
    assert!(text.contains("[audit] file"), "{text}");
}

/// A disk that takes what it is told to.
struct Disk {
    /// How many octets it has room for, one number after the other; then it takes everything.
    room: mpsc::Receiver<usize>,
    taken: Arc<Mutex<Vec<u8>>>,
    /// What was left of the room at the last write.
    left: Option<usize>,
}

impl Write for Disk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let room = self.left.take().or_else(|| self.room.recv().ok());
        let length = room.map_or(octets.len(), |room| room.min(octets.len()));
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left = room.map(|room| room - length);
        self.taken
            .lock()
            .unwrap()
            .extend_from_slice(&octets[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer to a disk, the room that it has, and what it has taken.
fn with_disk(count: &Count) -> (Writer, mpsc::Sender<usize>, Arc<Mutex<Vec<u8>>>) {
    let (give, room) = mpsc::channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let disk = Disk {
        room,
        taken: Arc::clone(&taken),
        left: None,
    };
    (writer(disk, count), give, taken)
}

fn text(taken: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(taken.lock().unwrap().clone()).unwrap()
}

#[test]
fn what_a_full_disk_costs_is_counted_and_the_next_line_is_whole() {
    let count = Count::default();
    let (writer, room, taken) = with_disk(&count);
    put(&writer, 1);
    room.send(100).unwrap();
    while count.lost(Lost::WriteFailed) == 0 {
        thread::yield_now();
    }
    drop(room);
    put(&writer, 2);
    put(&writer, 3);
    writer.end();
    assert_eq!(told(&text(&taken)), "? 02 03");
    assert_eq!(count.lost(Lost::WriteFailed), 1);
}

#[test]
fn a_disk_that_hangs_costs_lines_and_nobody_waits_for_it() {
    let count = Count::default();
    let (writer, room, taken) = with_disk(&count);
    for _ in 0..500 {
        put(&writer, 1);
    }
    let lost = count.lost(Lost::QueueFull);
    // Those in the queue, and those of the batch that is being written.
    assert!(lost >= 400, "{lost}");
    writer.end();
    drop(room);
    let expected = usize::try_from(500 - lost).unwrap();
    while text(&taken).lines().count() < expected {
        thread::yield_now();
    }
    assert_eq!(count.lost(Lost::WriteFailed), 0);
}
