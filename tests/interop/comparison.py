"""What the runs that compare waxseal with others have in common: their options, and a lab that is always cleared away."""

import argparse
import signal
import subprocess
import sys

from lab import Lab, LabError, print_logs


def arguments(program, about, names):
    """The options of a run whose cases have these names."""
    parser = argparse.ArgumentParser(prog=program, description=about.partition("\n")[0])
    parser.add_argument("--case", choices=names, action="append", metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("--verbose", action="store_true", help="what led to the verdicts of every case")
    options = parser.parse_args()
    options.wants = lambda name: not options.case or name in options.case
    return options


def in_a_lab(options, experiment):
    """Runs `experiment` in a lab of its own. Returns its result; None where the lab is broken, which was printed."""
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(options.keep)
    try:
        return experiment(lab)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"the lab is broken: {error}")
        print_logs(lab)
        return None
    finally:
        lab.close()


def print_row(title, complaints, told, verbose):
    """What is wrong with a row, and what led to it; for a good one only on request."""
    if complaints or verbose:
        print(f"{'FAILED' if complaints else 'ok'} {title}", *complaints, *told, sep="\n    ")
