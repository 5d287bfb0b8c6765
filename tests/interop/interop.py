"""Sends real mail Postfix -> waxseal -> Postfix and compares what became of it with what should have.

`run` beside this file starts it. `internet.py` describes the lab, `cases.py` what is sent and what must become of it,
`trial.py` follows one message, `afterwards.py` looks at the whole run.
"""

import argparse
import os
import sys

import afterwards
from cases import CASES
from lab import LabError
from network import Network
from report import conduct
from trial import Trial


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
    options = arguments()

    def through_waxseal(lab, report):
        waxseal = "" if options.direct else os.path.abspath(os.environ["WAXSEAL"])
        examine(Network(lab, waxseal), options, report)

    return conduct(through_waxseal, options.keep, (LabError, OSError))


if __name__ == "__main__":
    sys.exit(main())
