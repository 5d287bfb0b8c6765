"""Sends real mail Postfix -> waxseal -> Postfix and compares what became of it with what should have.

`run` beside this file starts it. `internet.py` describes the lab, `cases.py` what is sent and what must become of it,
`trial.py` follows one message, `afterwards.py` looks at the whole run.
"""

import argparse
import os
import signal
import sys
import time

import afterwards
from cases import CASES
from lab import Lab, LabError, print_logs
from network import Network
from trial import Trial


class Report:
    """One line a check, and the closing line."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, examine):
        """`examine` yields what is wrong, in sentences."""
        began = time.monotonic()
        try:
            complaints = list(examine())
        except Exception as error:  # one broken case must not hide the others
            complaints = [f"{type(error).__name__}: {error}"]
        if complaints:
            self.failed += 1
            print(f"FAILED {name}", *complaints, sep="\n    ")
        else:
            self.passed += 1
            print(f"ok {name} ({time.monotonic() - began:.1f} s)")
        sys.stdout.flush()

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append")
    parser.add_argument("--via", choices=["relay", "relay-one-by-one", "lmtp"])
    parser.add_argument("--direct", action="store_true", help="without waxseal: does the lab itself work?")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def makes_sense(case, via):
    """Some ways add nothing to some cases."""
    if via == "direct":
        return case.direct
    return via != "relay-one-by-one" or len(case.fates) > 1


def examine(network, options, report):
    """All cases over all ways, then the checks on the whole."""
    cases = [case for case in CASES if not options.case or case.name in options.case]
    trials = []
    for via, sender in network.senders.items():
        for case in cases:
            if (options.via or via) == via and makes_sense(case, via):
                trial = Trial(case, sender, network)
                trials.append(trial)
                report.check(f"{via}/{case.name}", trial.run)
    if not trials:
        raise LabError("no case is left after this choice")
    report.check("nothing-lost-nothing-doubled", lambda: afterwards.nothing_lost_nothing_doubled(network, trials))
    if network.waxseal:
        report.check("metrics", lambda: afterwards.metrics_agree_with_the_mailboxes(network))
        report.check("log-names-nobody", lambda: afterwards.log_names_nobody(network, trials))
        report.check("stops-when-told", lambda: afterwards.stops_when_told(network))


def main():
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    report = Report()
    lab = Lab(options.keep)
    try:
        examine(Network(lab, "" if options.direct else os.path.abspath(os.environ["WAXSEAL"])), options, report)
    except (LabError, OSError) as error:
        complaint = str(error)
        report.check("lab", lambda: [complaint])
    finally:
        if report.failed:
            print_logs(lab)
        lab.close()
    report.close()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
