//! The result: medians, their spread, and the ratios that were aimed at.

pub(crate) mod machine;
pub(crate) mod targets;

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::args::Workload;
use crate::report::targets::{Measure, Target, Wanted, queries, rate, targets};

/// One turn of one contestant. CPU in microseconds a message, times in milliseconds, memory in KiB a session.
#[derive(Serialize, Default, Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    /// A second.
    pub(crate) queries: f64,
    /// A second, of large messages.
    pub(crate) megabytes: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) failed: f64,
    /// A message.
    pub(crate) calls: f64,
    /// To the sink.
    pub(crate) connections: f64,
    pub(crate) before_rcpt: f64,
    pub(crate) with_mx: f64,
    pub(crate) after_large: f64,
    /// In MiB, at the end.
    pub(crate) resident: f64,
    /// The most resident memory, in MiB, and what of it a large message brought.
    pub(crate) peak: f64,
    pub(crate) grown: f64,
    /// Messages, by what a broken contestant did to them.
    pub(crate) lost: f64,
    pub(crate) doubled: f64,
    pub(crate) corrupted: f64,
}

/// What is shown of a sample, where it is more than nothing for one contestant at least.
const COLUMNS: [(&str, Measure); 19] = [
    ("messages/s", rate),
    ("queries/s", queries),
    ("MB/s", |sample| sample.megabytes),
    ("user us", |sample| sample.user),
    ("system us", |sample| sample.system),
    ("system calls", |sample| sample.calls),
    ("p50 ms", |sample| sample.p50),
    ("p99 ms", |sample| sample.p99),
    ("connections to the MX", |sample| sample.connections),
    ("tries that failed", |sample| sample.failed),
    ("before RCPT", |sample| sample.before_rcpt),
    ("with an MX", |sample| sample.with_mx),
    ("after 256 KiB", |sample| sample.after_large),
    ("resident MiB", |sample| sample.resident),
    ("peak MiB", |sample| sample.peak),
    ("MiB more than before", |sample| sample.grown),
    ("lost", |sample| sample.lost),
    ("doubled", |sample| sample.doubled),
    ("corrupted", |sample| sample.corrupted),
];

/// A target, what was measured, and whether that is enough.
#[derive(Serialize)]
struct Met {
    what: &'static str,
    wanted: String,
    measured: f64,
    reached: bool,
}

/// What one workload showed.
#[derive(Serialize)]
pub(crate) struct Table {
    workload: String,
    messages: usize,
    contestants: Vec<(&'static str, Vec<Sample>)>,
    targets: Vec<Met>,
    #[serde(skip)]
    pub(crate) kind: Workload,
}

impl Table {
    pub(crate) fn new(kind: Workload, messages: usize) -> Self {
        Self {
            workload: format!("{kind:?}").to_lowercase(),
            messages,
            contestants: Vec::new(),
            targets: Vec::new(),
            kind,
        }
    }

    pub(crate) fn workload(&self) -> &str {
        &self.workload
    }

    pub(crate) fn add(&mut self, name: &'static str, sample: Sample) {
        match self
            .contestants
            .iter_mut()
            .find(|(other, _)| *other == name)
        {
            Some((_, samples)) => samples.push(sample),
            None => self.contestants.push((name, vec![sample])),
        }
        self.targets = targets(self.kind)
            .iter()
            .filter_map(|target| self.met(target))
            .collect();
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.contestants.iter().map(|(name, _)| *name).collect()
    }

    /// They were counted once for all rounds.
    pub(crate) fn set_calls(&mut self, of: &str, calls: f64) {
        let found = self.contestants.iter_mut().find(|(name, _)| *name == of);
        for sample in found.into_iter().flat_map(|(_, samples)| samples) {
            sample.calls = calls;
        }
    }

    /// Targets that were reached, or those that were not, a line each.
    pub(crate) fn lines(&self, reached: bool) -> Vec<String> {
        let targets = self
            .targets
            .iter()
            .filter(|target| target.reached == reached);
        let lines = targets.map(|target| {
            let (workload, what, wanted) = (&self.workload, target.what, &target.wanted);
            format!("`{workload}`: {what} {} ({wanted})", show(target.measured))
        });
        lines.collect()
    }

    fn samples(&self, name: &str) -> Option<&[Sample]> {
        let found = self.contestants.iter().find(|(other, _)| *other == name);
        found.map(|(_, samples)| samples.as_slice())
    }

    /// The median of what the rounds show, each by itself.
    fn met(&self, target: &Target) -> Option<Met> {
        let of = self.samples(target.of)?.iter().map(target.measure);
        let to = match target.to {
            Some(to) => self.samples(to)?.iter().map(target.measure).collect(),
            None => vec![1.0; of.len()],
        };
        let pairs = of.zip(to);
        let values = match target.wanted {
            Wanted::Beyond(_) => pairs.map(|(of, to)| of - to).collect(),
            _ => pairs.map(|(of, to)| of / to).collect(),
        };
        let (measured, ..) = spread(values)?;
        let (wanted, reached) = match target.wanted {
            Wanted::AtLeast(least) => (format!(">= {least}"), measured >= least),
            Wanted::AtMost(most) | Wanted::Beyond(most) => (format!("<= {most}"), measured <= most),
        };
        Some(Met {
            what: target.what,
            wanted,
            measured,
            reached,
        })
    }
}

/// The median, the least and the greatest.
fn spread(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    let middle = *values.get(values.len() / 2)?;
    Some((middle, *values.first()?, *values.last()?))
}

impl fmt::Display for Table {
    /// Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}, {} at a turn\n", self.workload, self.messages)?;
        if let Some(load) = self.kind.to_possible_value() {
            writeln!(f, "{}.\n", load.get_help().unwrap_or_default())?;
        }
        self.write_samples(f)?;
        if self.targets.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| target | wanted | measured | met |\n| --- | --- | --- | --- |"
        )?;
        for target in &self.targets {
            let met = if target.reached { "yes" } else { "no" };
            let (what, wanted, measured) = (target.what, &target.wanted, show(target.measured));
            writeln!(f, "| {what} | {wanted} | {measured} | {met} |")?;
        }
        Ok(())
    }
}

impl Table {
    fn write_samples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || self.contestants.iter().flat_map(|(_, samples)| samples);
        let happened = |(_, measure): &&(&str, Measure)| all().any(|sample| measure(sample) != 0.0);
        let columns: Vec<_> = COLUMNS.iter().filter(happened).collect();
        let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
        writeln!(f, "| | {} |", heads.join(" | "))?;
        writeln!(f, "| --- |{}", " --- |".repeat(columns.len()))?;
        for (name, samples) in &self.contestants {
            write!(f, "| {name} |")?;
            for (_, measure) in &columns {
                let values = samples.iter().map(measure).collect();
                let (middle, least, most) = spread(values).ok_or(fmt::Error)?;
                // Nothing happened, or there is no process to look at.
                if most == 0.0 {
                    write!(f, " - |")?;
                    continue;
                }
                write!(f, " {}", show(middle))?;
                if least < most {
                    write!(f, " ({} to {})", show(least), show(most))?;
                }
                write!(f, " |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Three digits that matter.
fn show(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
