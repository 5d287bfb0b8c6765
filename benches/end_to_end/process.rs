//! Child processes, and what the system knows of them.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Clock ticks a second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// A process that does not outlive the bench.
pub(crate) struct Process(Child);

/// Seconds of CPU.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(child.spawn().unwrap())
    }

    /// This program in one of its other roles.
    pub(crate) fn role(arguments: &[&str]) -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).args(arguments))
    }

    /// What the process answers to a word.
    pub(crate) fn ask(&mut self, word: &str) -> String {
        writeln!(self.0.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        let mut from = BufReader::new(self.0.stdout.as_mut().unwrap());
        from.read_line(&mut answer).unwrap();
        answer
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let seconds = |at: usize| fields[at].parse::<f64>().unwrap() / TICKS;
        Cpu {
            user: seconds(11),
            system: seconds(12),
        }
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Answers each line on stdin with a line on stdout, and ends with stdin.
pub(crate) fn obey(answer: impl Fn() -> String + Send + 'static) {
    thread::spawn(move || {
        for line in stdin().lines() {
            if line.is_err() {
                break;
            }
            println!("{}", answer());
        }
        std::process::exit(0);
    });
}

/// A port that is free for now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Waits until somebody listens at the port.
pub(crate) fn wait_for(port: u16) {
    for _ in 0..500 {
        if TcpStream::connect(loopback(port)).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody listens at port {port}");
}
