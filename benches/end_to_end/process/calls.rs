//! System calls, as `perf` counts them: in a turn of their own, because counting takes time.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// `perf` needs so long to begin.
const BEGIN: Duration = Duration::from_millis(500);

/// A count that goes on.
pub(crate) struct Count(Child);

impl Count {
    /// Counts those of these processes and of what they start; none where that is not permitted.
    pub(crate) fn begin(processes: &[u32]) -> Option<Self> {
        let numbers: Vec<String> = processes.iter().map(u32::to_string).collect();
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"])
            .arg(numbers.join(","));
        let mut child = perf
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        thread::sleep(BEGIN);
        match child.try_wait() {
            Ok(None) => Some(Self(child)),
            _ => None,
        }
    }

    pub(crate) fn end(mut self) -> Option<f64> {
        let number = self.0.id().to_string();
        Command::new("kill").args(["-INT", &number]).status().ok()?;
        let mut text = String::new();
        self.0.stderr.take()?.read_to_string(&mut text).ok()?;
        self.0.wait().ok()?;
        let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
        line.split(',').next()?.parse().ok()
    }
}
