"""Exim. Debian does not let it stand beside Postfix, so it is unpacked from its package, for this lab alone."""

import re
import shutil
import subprocess
from pathlib import Path

import networks
from lab import run
from mtas import since

# All that an MTA in front of waxseal should know: that TLS is somebody else's.
CONFIG = """\
primary_hostname = mta.test
exim_path = {exim}
keep_environment =
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
begin routers
dns:
  driver = dnslookup
  transport = smtp
begin transports
smtp:
  driver = smtp
  hosts_avoid_tls = *
  {more}
begin retry
* * F,1h,1h
"""

USER = "Debian-exim"  # the name is compiled in
NUMBER = 64999


def unpack(lab, package):
    """Makes Exim and its user known in this mount namespace, and nowhere else; the path of the program."""
    root = lab.dir / "exim"
    run(["dpkg", "-x", package, root])
    for file, line in (("passwd", f"{USER}:x:{NUMBER}:{NUMBER}::/:/usr/sbin/nologin"), ("group", f"{USER}:x:{NUMBER}:")):
        known = lab.dir / file
        known.write_text(Path("/etc", file).read_text() + line + "\n")
        run(["mount", "--bind", known, f"/etc/{file}"])
    return root / "usr/sbin/exim4"


class Exim:
    """An Exim that delivers each message at once: behind the gateway, or on it (`network` is `None`).

    It remembers which hosts and which recipients have failed, so that each is for one way alone.
    """

    def __init__(self, lab, exim, name, network, more=""):
        self._exim = exim
        self._network = network
        directory = lab.dir / name
        directory.mkdir()
        self._log = directory / "mainlog"
        self._config = directory / "exim.conf"
        self._config.write_text(CONFIG.format(exim=exim, directory=directory, more=more))
        (directory / "spool").mkdir()
        for path in (directory, directory / "spool"):
            shutil.chown(path, NUMBER, NUMBER)

    def send(self, recipient):
        """Sends one message and waits for what becomes of it: (status, what the log says)."""
        start = self._log.stat().st_size if self._log.exists() else 0
        command = [str(self._exim), "-C", str(self._config), "-odf", "-f", "<>", recipient]
        if self._network:
            command = networks.inside(self._network, command)
        subprocess.run(command, input="Subject: wax\n\nhello\n", capture_output=True, text=True, check=True)
        lines = [line for line in since(self._log, start).splitlines() if recipient in line]
        sent = any(re.search(rf" [=-]> {re.escape(recipient)} ", line) for line in lines)
        return "sent" if sent else "deferred", "\n".join(lines)
