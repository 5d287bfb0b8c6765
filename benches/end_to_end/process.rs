//! Child processes, and what the system knows of them.

pub(crate) mod calls;

use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::iter::Sum;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Clock ticks a second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// A process that does not outlive the bench.
pub(crate) struct Process {
    child: Child,
    /// It ends its own children, if it is asked to.
    gentle: bool,
}

/// Seconds of CPU.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self {
            child: child.spawn().unwrap(),
            gentle: false,
        }
    }

    /// One with children of its own.
    pub(crate) fn gentle(command: &mut Command) -> Self {
        let mut process = Self::start(command);
        process.gentle = true;
        process
    }

    /// This program in one of its other roles.
    pub(crate) fn role(arguments: &[&str]) -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).args(arguments))
    }

    /// What the process answers to a word.
    pub(crate) fn ask(&mut self, word: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        let mut from = BufReader::new(self.child.stdout.as_mut().unwrap());
        from.read_line(&mut answer).unwrap();
        answer
    }

    /// That of all it has done, and of its children, those that have ended included.
    pub(crate) fn cpu(&self) -> Cpu {
        self.family().iter().map(|stat| stat.cpu).sum()
    }

    /// The numbers of it and of its children.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.family().iter().map(|stat| stat.number).collect()
    }

    fn family(&self) -> Vec<Stat> {
        let own = self.child.id();
        let processes = fs::read_dir("/proc").unwrap();
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let all = numbers.filter_map(Stat::of);
        all.filter(|stat| stat.number == own || stat.parent == own)
            .collect()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most that it has been, in KiB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }
}

/// What of `/proc/PID/stat` counts.
struct Stat {
    number: u32,
    parent: u32,
    /// Its own, and that of its children that have ended.
    cpu: Cpu,
}

impl Stat {
    /// None of a process that is gone.
    fn of(number: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS);
        Some(Self {
            number,
            parent: fields.get(1)?.parse().ok()?,
            cpu: Cpu {
                user: seconds(11)? + seconds(13)?,
                system: seconds(12)? + seconds(14)?,
            },
        })
    }
}

impl Sum for Cpu {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, cpu| Self {
            user: sum.user + cpu.user,
            system: sum.system + cpu.system,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let number = self.child.id().to_string();
        let asked = self.gentle
            && Command::new("kill")
                .arg(&number)
                .status()
                .is_ok_and(|done| done.success());
        if !asked {
            let _ended = self.child.kill();
        }
        let _reaped = self.child.wait();
    }
}

/// Answers each line on stdin with a line on stdout, and ends with stdin.
pub(crate) fn obey(answer: impl Fn(&str) -> String + Send + 'static) {
    thread::spawn(move || {
        for line in stdin().lines() {
            let Ok(line) = line else {
                break;
            };
            println!("{}", answer(&line));
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
