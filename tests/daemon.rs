//! The real program as a child process: what it prints, signals, exit codes, its log, and its memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

use std::fs;
use std::io::{BufRead, BufReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at something that will happen.
const GLANCE: Duration = Duration::from_millis(10);

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Ends it with `signal`; the exit code.
    fn end(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        let mut status: Option<ExitStatus> = None;
        wait_until(signal, || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A waxseal of its own, in a folder of its own.
struct Daemon {
    process: Process,
    banner: Vec<String>,
    /// Reads the log, unless the test does.
    log: Option<thread::JoinHandle<String>>,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start(config: &str, arguments: &[&str]) -> Self {
        Self::start_with_log_to(Stdio::piped(), config, arguments)
    }

    fn start_with_log_to(stderr: Stdio, config: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("waxseal.toml"), config).unwrap();
        let child = command(folder.path(), arguments).stderr(stderr).spawn();
        let mut process = Process(child.unwrap());
        let log = process.0.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).unwrap();
                text
            })
        });
        let banner = banner(process.0.stdout.take().unwrap());
        Self {
            process,
            banner,
            log,
            folder,
        }
    }

    /// The address that the banner names behind `word`.
    fn address(&self, word: &str) -> SocketAddr {
        let line = self.banner.iter().find_map(|line| line.split_once(word));
        let text = line
            .unwrap_or_else(|| panic!("no {word:?} in {:?}", self.banner))
            .1;
        text.split('/').next().unwrap().parse().unwrap()
    }

    /// Ends it with `signal`; the exit code and the log.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let code = self.process.end(signal);
        let log = self.log.map(|log| log.join().unwrap());
        (code, log.unwrap_or_default())
    }

    /// Waits for the end of the reload with this number.
    fn wait_for_reload(&self, number: usize) {
        let line = format!("waxseal_config_reloads_total{{result=\"ok\"}} {number}\n");
        wait_until(&line, || self.metrics().contains(&line));
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.address("metrics on http://")).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The most memory that was ever resident, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// The lines up to the one for Postfix.
fn banner(stdout: ChildStdout) -> Vec<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map(Result::unwrap);
        lines.for_each(|line| drop(send.send(line)));
    });
    let mut banner: Vec<String> = Vec::new();
    while !banner.last().is_some_and(|line| line.contains("Postfix")) {
        banner.push(lines.recv_timeout(PATIENCE).expect("a banner"));
    }
    banner
}

/// Waits for what will not take long; `what` tells what did not happen.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / GLANCE.as_millis() {
        if happened() {
            return;
        }
        thread::sleep(GLANCE);
    }
    panic!("waited in vain: {what}");
}

/// Puts a rule file in place whose reader hangs until somebody writes.
fn hang_rules(folder: &Path) -> PathBuf {
    let policies = folder.join("policies");
    fs::create_dir(&policies).unwrap();
    let fifo = policies.join("90-hang.toml");
    let status = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(status.success());
    fifo
}

/// Waits until somebody reads the FIFO; who reads hangs until the returned end is dropped.
fn caught_reading(fifo: &Path) -> fs::File {
    let (send, opened) = mpsc::channel();
    let fifo = fifo.to_owned();
    thread::spawn(move || send.send(fs::OpenOptions::new().write(true).open(fifo)));
    opened.recv_timeout(PATIENCE).expect("a reader").unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("WAXSEAL_CONFIG")
        .env("STATE_DIRECTORY", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A configuration whose listeners take free ports, with mail for literals going to `mx_port`.
fn config(mx_port: u16) -> String {
    format!(
        "[[listener]]\nkind = 'relay'\nlisten = '127.0.0.1:0'\n\
         [[listener]]\nkind = 'lmtp'\nlisten = '127.0.0.1:0'\n\
         [admin]\nlisten = '127.0.0.1:0'\n\
         [dns]\nservers = ['127.0.0.1:9']\ndnssec = 'off'\n\
         [mx]\nport = {mx_port}\nallow_networks = ['127.0.0.0/8']\n\
         [message]\nmax_size = 0\n"
    )
}

/// An MX that takes one message after the other and repeats the recipient in its replies.
fn sink() -> u16 {
    counting_sink().0
}

/// One that also counts the messages that it took.
fn counting_sink() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let count = Arc::clone(&count);
            thread::spawn(move || serve(stream.unwrap(), &count));
        }
    });
    (port, taken)
}

fn serve(mut stream: TcpStream, taken: &AtomicUsize) {
    let mut input = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    say("220 mx.test ESMTP");
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
        match line.to_ascii_uppercase().as_slice() {
            verb if verb.starts_with(b"DATA") => {
                say("354 go on");
                drain(&mut input);
                taken.fetch_add(1, Ordering::SeqCst);
                say("250 2.0.0 Ok for <secret.local-part@[127.0.0.1]>");
            }
            verb if verb.starts_with(b"QUIT") => return say("221 bye"),
            verb if verb.starts_with(b"RCPT") => say("250 2.1.5 <secret.local-part@[127.0.0.1]>"),
            _ => say("250 Ok"),
        }
        line.clear();
    }
}

/// Reads up to the lone dot without keeping anything.
fn drain(input: &mut impl BufRead) {
    let mut tail = Vec::new();
    while !tail.ends_with(b"\r\n.\r\n") {
        let chunk = input.fill_buf().unwrap();
        let length = chunk.len();
        tail.extend_from_slice(&chunk[length.saturating_sub(5)..]);
        tail.drain(..tail.len().saturating_sub(5));
        input.consume(length);
    }
}

/// Sends one message of about `octets` octets; the reply to its end.
fn deliver(relay: SocketAddr, octets: usize) -> String {
    let mut stream = TcpStream::connect(relay).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut expect = move || replies.next().expect("a reply").unwrap();
    expect();
    for line in [
        "HELO mta.test",
        "MAIL FROM:<another.secret@mta.test>",
        "RCPT TO:<secret.local-part@[127.0.0.1]>",
        "DATA",
    ] {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let reply = expect();
        assert!(
            reply.starts_with('2') || reply.starts_with('3'),
            "{line}: {reply}"
        );
    }
    let block = format!("{}\r\n", "x".repeat(998)).repeat(1000);
    for _ in 0..octets.div_ceil(block.len()) {
        stream.write_all(block.as_bytes()).unwrap();
    }
    stream.write_all(b".\r\n").unwrap();
    expect()
}

#[test]
fn it_prints_where_it_listens_and_how_to_point_postfix_at_it() {
    let daemon = Daemon::start(&config(25), &[]);
    let [relay, lmtp, metrics] =
        ["relay on ", "lmtp on ", "metrics on http://"].map(|word| daemon.address(word));
    assert_eq!(
        daemon.banner,
        [
            format!("waxseal: relay on {relay}"),
            format!("waxseal: lmtp on {lmtp}"),
            format!("waxseal: metrics on http://{metrics}/metrics"),
            format!(
                "waxseal: to point Postfix at it: postconf -e 'default_transport = lmtp:inet:{lmtp}'"
            ),
        ]
    );
    assert_eq!(daemon.end("TERM").0, Some(0));
}

/// Starts waxseal as a service manager does: with this listening socket, and a socket to tell its state to.
fn managed(folder: &Path, listener: TcpListener, notify: &Path) -> Process {
    // The socket comes as stdin and moves to where inherited sockets begin; the shell's number becomes waxseal's.
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"";
    let child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_waxseal")])
        .current_dir(folder)
        .env_remove("WAXSEAL_CONFIG")
        .env("STATE_DIRECTORY", folder)
        .env("NOTIFY_SOCKET", notify)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

#[test]
fn a_socket_of_the_service_manager_is_used_and_the_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "admin = {{ enabled = false }}\ndns = {{ dnssec = 'off' }}\n\
         [[listener]]\nkind = 'relay'\nlisten = '{address}'\n"
    );
    fs::write(folder.path().join("waxseal.toml"), config).unwrap();
    let notify = folder.path().join("notify");
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("a word to the manager");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    // Connections are taken from the start, although nobody accepts them yet.
    let mut early = BufReader::new(TcpStream::connect(address).unwrap());
    let mut process = managed(folder.path(), listener, &notify);
    assert_eq!(told(), "READY=1\n");
    let mut greeting = String::new();
    early.read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    process.signal("HUP");
    let reloading = told();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(told(), "READY=1\n");
    assert_eq!(process.end("TERM"), Some(0));
    assert_eq!(told(), "STOPPING=1\n");
}

#[test]
fn without_configuration_the_defaults_listen() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_waxseal"))
        .args(["config", "show"])
        .current_dir(folder.path())
        .env_remove("WAXSEAL_CONFIG")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    for address in ["127.0.0.1:10025", "127.0.0.1:10024", "127.0.0.1:9825"] {
        assert!(shown.contains(address), "{address} in\n{shown}");
    }
}

#[test]
fn sigint_ends_it_with_0_and_sighup_does_not_end_it() {
    let daemon = Daemon::start(&config(25), &[]);
    daemon.process.signal("HUP");
    // The session proves that it still serves.
    let mut greeting = String::new();
    let stream = TcpStream::connect(daemon.address("relay on ")).unwrap();
    BufReader::new(stream).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    daemon.wait_for_reload(1);
    let (code, log) = daemon.end("INT");
    assert_eq!(code, Some(0));
    assert!(log.contains("reloaded"), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.contains("stopping"), "{log}");
}

#[test]
fn a_reload_that_hangs_keeps_nobody_from_ending_it() {
    for signal in ["TERM", "INT"] {
        let daemon = Daemon::start(&config(sink()), &[]);
        let fifo = hang_rules(daemon.folder.path());
        daemon.process.signal("HUP");
        let _hanging = caught_reading(&fifo);
        assert!(deliver(daemon.address("relay on "), 1).starts_with("250 "));
        assert_eq!(daemon.end(signal).0, Some(0), "{signal}");
    }
}

#[test]
fn hangups_during_a_reload_lead_to_one_more() {
    let daemon = Daemon::start(&config(25), &[]);
    let fifo = hang_rules(daemon.folder.path());
    daemon.process.signal("HUP");
    let first = caught_reading(&fifo);
    daemon.process.signal("HUP");
    daemon.process.signal("HUP");
    drop(first);
    daemon.wait_for_reload(1);
    drop(caught_reading(&fifo));
    daemon.wait_for_reload(2);
    let (code, log) = daemon.end("TERM");
    assert_eq!((code, log.matches("reloaded: ").count()), (Some(0), 2));
}

#[test]
fn a_start_that_hangs_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("waxseal.toml"), config(25)).unwrap();
    let fifo = hang_rules(folder.path());
    let child = command(folder.path(), &[]).spawn();
    let mut process = Process(child.unwrap());
    let _hanging = caught_reading(&fifo);
    assert_eq!(process.end("TERM"), Some(0));
}

#[test]
fn a_taken_port_is_named_and_exits_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config =
        format!("[[listener]]\nkind = 'relay'\nlisten = '{address}'\n[admin]\nenabled = false");
    fs::write(folder.path().join("waxseal.toml"), config).unwrap();
    let output = command(folder.path(), &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&format!("cannot listen on {address} (relay)")),
        "{error}"
    );
}

#[test]
fn a_wrong_rule_keeps_it_from_starting_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    fs::write(folder.path().join("waxseal.toml"), config(25)).unwrap();
    let rule = "[[rule]]\ndomains = ['a.test']\ntls = 'sealed'";
    fs::write(folder.path().join("policies/a.toml"), rule).unwrap();
    let output = command(folder.path(), &["run"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("a.toml:3:"), "{error}");
}

#[test]
fn sigusr1_opens_the_audit_log_anew_and_it_tells_from_start_to_stop() {
    let audit = "[audit]\nfile = 'audit.jsonl'\n";
    let mut daemon = Daemon::start(&(config(sink()) + audit), &[]);
    let relay = daemon.address("relay on ");
    let (log, old) = (
        daemon.folder.path().join("audit.jsonl"),
        daemon.folder.path().join("audit.jsonl.1"),
    );
    let lines = |path: &Path| fs::read_to_string(path).unwrap_or_default().lines().count();
    assert!(deliver(relay, 1).starts_with("250 "));
    wait_until("the first lines", || lines(&log) == 2);
    fs::rename(&log, &old).unwrap();
    daemon.process.signal("USR1");
    wait_until("a new file", || log.exists());
    assert!(deliver(relay, 1).starts_with("250 "));
    assert_eq!(daemon.process.end("TERM"), Some(0));
    let told = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let words =
                ["by", "act", "domain"].map(|key| value[key].as_str().unwrap_or("-").to_owned());
            words.join(" ")
        };
        text.lines().map(line).collect::<Vec<_>>()
    };
    assert_eq!(told(&old), ["process start -", "- - [127.0.0.1]"]);
    assert_eq!(told(&log), ["- - [127.0.0.1]", "SIGTERM stop -"]);
}

#[test]
fn sigusr1_does_not_end_one_without_an_audit_log() {
    let daemon = Daemon::start(&config(sink()), &[]);
    daemon.process.signal("USR1");
    assert!(deliver(daemon.address("relay on "), 1).starts_with("250 "));
    assert_eq!(daemon.end("TERM").0, Some(0));
}

#[test]
fn an_audit_log_that_cannot_be_opened_keeps_it_from_starting_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let audit = "[audit]\nfile = 'no/such/folder/audit.jsonl'\n";
    fs::write(folder.path().join("waxseal.toml"), config(25) + audit).unwrap();
    let output = command(folder.path(), &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("cannot write the audit log "), "{error}");
    assert!(error.contains("make its folder"), "{error}");
}

#[test]
fn an_audit_log_on_stdout_has_stdout_for_itself() {
    let (stdout, out) = pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let audit = "[audit]\nfile = 'stdout'\n";
    fs::write(folder.path().join("waxseal.toml"), config(25) + audit).unwrap();
    let child = command(folder.path(), &[]).stdout(out).spawn();
    let mut process = Process(child.unwrap());
    let mut lines = BufReader::new(stdout).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("a line").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(next()["act"], "start");
    assert_eq!(process.end("TERM"), Some(0));
    assert_eq!(next()["act"], "stop");
}

#[test]
fn a_delivery_is_one_line_of_log_that_names_no_mailbox() {
    let daemon = Daemon::start(&config(sink()), &["--log-format", "json"]);
    let reply = deliver(daemon.address("relay on "), 1);
    assert!(
        reply.starts_with("250 ") && reply.contains("[[127.0.0.1] plaintext 01"),
        "{reply}"
    );
    let (_, log) = daemon.end("TERM");
    assert!(!log.contains("secret"), "{log}");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let deliveries: Vec<_> = lines
        .iter()
        .filter(|line| line["result"] == "delivered")
        .collect();
    let [delivery] = deliveries[..] else {
        panic!("{log}")
    };
    for (field, value) in [
        ("domain", "[127.0.0.1]"),
        ("address", "127.0.0.1"),
        ("encryption", "plaintext"),
        ("policy", "opportunistic"),
        ("authentication", "none"),
        ("reply", "250 2.0.0"),
    ] {
        assert_eq!(delivery[field], value, "{field}: {delivery}");
    }
}

#[test]
fn a_log_reader_that_goes_away_costs_no_reply() {
    let (reader, writer) = pipe().unwrap();
    delivers_with_log_to(writer, || drop(reader));
}

#[test]
fn a_log_reader_that_is_stuck_holds_up_neither_a_session_nor_the_end() {
    let (reader, writer) = pipe().unwrap();
    let full = writer.try_clone().unwrap();
    delivers_with_log_to(writer, || fill(&full));
    drop(reader);
}

#[test]
fn a_complaint_that_nobody_reads_changes_no_exit_code() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--config", "missing.toml"];
    let status = command(folder.path(), &arguments).stderr(writer).status();
    assert_eq!(status.unwrap().code(), Some(2));
}

#[test]
fn a_stdout_whose_reader_is_gone_keeps_it_from_nothing() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    delivers_with_stdout_to(writer);
}

#[test]
fn a_stdout_whose_reader_is_stuck_keeps_it_from_nothing() {
    let (reader, writer) = pipe().unwrap();
    fill(&writer);
    delivers_with_stdout_to(writer);
    drop(reader);
}

/// Delivers a message and ends it; no banner tells the address, so that is chosen beforehand.
fn delivers_with_stdout_to(stdout: PipeWriter) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = free.local_addr().unwrap();
    let (mx, taken) = counting_sink();
    let config = config(mx).replacen("127.0.0.1:0", &relay.to_string(), 1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("waxseal.toml"), config).unwrap();
    drop(free);
    let child = command(folder.path(), &[]).stdout(stdout).spawn();
    let mut process = Process(child.unwrap());
    wait_until("a listener", || TcpStream::connect(relay).is_ok());
    let reply = deliver(relay, 1);
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(taken.load(Ordering::SeqCst), 1);
    assert_eq!(process.end("TERM"), Some(0));
}

/// Fills the pipe, for as long as somebody holds its other end.
fn fill(pipe: &PipeWriter) {
    let mut pipe = pipe.try_clone().unwrap();
    // More than any pipe takes.
    thread::spawn(move || pipe.write_all(&vec![b'x'; 1 << 21]));
}

/// Delivers two messages after `trouble` with the log.
fn delivers_with_log_to(log: PipeWriter, trouble: impl FnOnce()) {
    let (mx, taken) = counting_sink();
    let daemon = Daemon::start_with_log_to(log.into(), &config(mx), &[]);
    trouble();
    for number in 1..=2 {
        let reply = deliver(daemon.address("relay on "), 1);
        assert!(reply.starts_with("250 "), "{reply}");
        assert_eq!(taken.load(Ordering::SeqCst), number);
    }
    assert_eq!(daemon.end("TERM").0, Some(0));
}

#[test]
fn a_message_of_1_gib_passes_in_constant_memory() {
    let daemon = Daemon::start(&config(sink()), &[]);
    let relay = daemon.address("relay on ");
    assert!(deliver(relay, 1 << 20).starts_with("250 "));
    let before = daemon.peak();
    assert!(deliver(relay, 1 << 30).starts_with("250 "));
    // The kernel counts roughly.
    let grown = daemon.peak().saturating_sub(before);
    assert!(
        grown < 1024,
        "the peak grew by {grown} KiB over {before} KiB"
    );
    assert_eq!(daemon.end("TERM").0, Some(0));
}

#[test]
fn a_rule_by_command_is_in_force_at_once() {
    let daemon = Daemon::start(&config(9), &[]);
    let admin = daemon.address("metrics on http://");
    // The command finds the waxseal that runs by its configuration, which says port 0 here.
    let found = format!("admin = {{ listen = '{admin}' }}");
    fs::write(daemon.folder.path().join("found.toml"), found).unwrap();
    let rule = |line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = command(daemon.folder.path(), &arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let added = rule("rule add a.example --tls encrypt --config found.toml");
    assert!(added.contains("reloaded: 1 rules"), "{added}");
    let expired = rule("rule expire a.example --config found.toml");
    assert!(expired.contains("reloaded: 1 rules"), "{expired}");
    assert!(
        daemon
            .metrics()
            .contains("waxseal_config_reloads_total{result=\"ok\"} 2")
    );
}

#[test]
fn the_doctor_hears_the_waxseal_that_runs() {
    let daemon = Daemon::start(&config(9), &[]);
    let admin = daemon.address("metrics on http://");
    let found = format!(
        "admin = {{ listen = '{admin}' }}\ndns = {{ servers = ['127.0.0.1:9'], dnssec = 'off' }}\nlistener = [{{ kind = 'relay', listen = '{}' }}]\n",
        daemon.address("relay on ")
    );
    fs::write(daemon.folder.path().join("found.toml"), found).unwrap();
    let arguments = ["doctor", "--config", "found.toml"];
    let output = command(daemon.folder.path(), &arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("running        ready for mail\n"), "{text}");
    let held = text
        .matches("in use, as it should be: a waxseal runs here")
        .count();
    assert_eq!(held, 2, "{text}");
}
