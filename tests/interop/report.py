"""What a lab finds, and how it ends."""

import signal
import sys
import time

from lab import Lab, print_logs


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


def conduct(examine, keep, broken):
    """Lets `examine(lab, report)` work in a lab of its own; the exit code. `broken`: exceptions of a lab that is."""
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    lab = Lab(keep)
    try:
        examine(lab, report)
    except broken as error:
        complaint = str(error)
        report.check("lab", lambda: [complaint])
    finally:
        if report.failed:
            print_logs(lab)
        lab.close()
    report.close()
    return 1 if report.failed else 0
