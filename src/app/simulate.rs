//! `waxseal simulate`: opens what is read, builds the gate that is asked, and prints.

use std::fs::File;
use std::io;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Error, gate};
use crate::check::Depth;
use crate::cli::{SimulateArgs, print};
use crate::config::{Config, Policies};
use crate::simulate::{self, Effort, Kind, Tally};
use crate::store::Place;

/// Reads, asks, prints.
pub(super) async fn run(mut config: Config, args: &SimulateArgs) -> Result<(), Error> {
    if let Some(folder) = &args.rules {
        // A folder that is missing would mean no rules at all.
        std::fs::read_dir(folder).map_err(|error| of_file(folder, error))?;
        config.policies = Policies::Default(folder.clone());
    }
    // A question leaves no trace in the store of the waxseal that runs.
    config.store = Place::Memory;
    let tally = read(args)?;
    let gate = gate(&config).await?;
    let effort = Effort {
        depth: if args.connect {
            Depth::Connect
        } else {
            Depth::Facts
        },
        jobs: args.jobs.into(),
    };
    let bar = progress(tally.seen.len());
    let simulation = simulate::run(&gate, tally, effort, || bar.inc(1)).await;
    bar.finish_and_clear();
    if args.csv {
        let csv = simulation.csv().map_err(io::Error::other);
        print(&csv.map_err(|error| of_file(Path::new("CSV"), error))?);
    } else if args.json {
        print(&simulation.json());
    } else {
        print(&simulation.text());
    }
    Ok(())
}

fn read(args: &SimulateArgs) -> Result<Tally, Error> {
    let (kind, path) = match (&args.from_log, &args.domains) {
        (Some(path), _) => (Kind::Log, path.as_path()),
        (None, Some(path)) => (Kind::List, path.as_path()),
        // The command line demands one.
        (None, None) => (Kind::List, Path::new("-")),
    };
    let tally = if path == Path::new("-") {
        simulate::read(kind, io::stdin().lock())
    } else {
        File::open(path).and_then(|file| simulate::read(kind, file))
    };
    tally.map_err(|error| of_file(path, error))
}

fn of_file(path: &Path, error: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        error,
    }
}

/// On stderr, and only on a terminal.
fn progress(domains: usize) -> ProgressBar {
    let bar = ProgressBar::new(domains as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} domains, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
