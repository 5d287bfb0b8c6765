"""The ground that the lab stands on: a temporary directory, free ports, child processes, bounded waits."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class LabError(Exception):
    """The lab itself is broken (as opposed to: a case failed)."""


class Lab:
    """Everything that one run leaves behind, so that one call can clear it away."""

    def __init__(self, keep):
        self.keep = keep
        self.dir = Path(tempfile.mkdtemp(prefix="waxseal-interop."))
        # Postfix's own user has to pass through.
        self.dir.chmod(0o755)
        self._undo = []

    def at_end(self, action):
        """Runs `action` when the lab closes, last come first served."""
        self._undo.append(action)

    def close(self):
        for action in reversed(self._undo):
            try:
                action()
            except Exception as error:  # the remaining servers still have to be stopped
                print(f"while stopping: {error}")
        if self.keep:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Process:
    """A server in the foreground whose standard error and output go to a file."""

    def __init__(self, lab, name, argv, **environment):
        self.name = name
        self.log = lab.dir / f"{name}.log"
        with open(self.log, "ab") as log:
            self._child = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=lab.dir,
                env={**os.environ, **environment},
            )
        lab.at_end(self.stop)

    def running(self):
        return self._child.poll() is None

    def stop(self, patience=60):
        """SIGTERM, and SIGKILL for the stubborn. Returns the exit code (negative: the signal)."""
        if self.running():
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()


def run(argv, **options):
    """Runs a command that must succeed and returns its output."""
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(what, ready, seconds, alive=lambda: True):
    """Polls `ready` until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        if not alive():
            raise LabError(f"{what}: the process has ended")
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def print_table(head, rows):
    """A table for people."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def print_logs(lab):
    """The ends of all logs, for a failure that cannot be repeated."""
    for log in sorted([*lab.dir.glob("*.log"), *lab.dir.glob("*/maillog")]):
        print(f"--- {log.relative_to(lab.dir)}")
        print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-150:]))


def listening(address, port):
    """Does a TCP server accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def free_ports(addresses, count):
    """Ports that are free on all of `addresses`, for TCP and UDP (DNS needs both).

    Somebody else could take them before the servers do; the servers then fail to start and say so.
    """
    found = []
    for port in range(20000 + os.getpid() % 5000, 32000):  # below the ephemeral range
        if all(_free(address, port) for address in addresses):
            found.append(port)
            if len(found) == count:
                return found
    raise LabError("no free ports")


def _free(address, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
