"""Exim. Debian does not let it stand beside Postfix, so it is unpacked from its package, for this lab alone."""

import re
import shutil
import subprocess
from pathlib import Path

import networks
from lab import run

# All that an MTA in front of waxseal should know: that TLS is somebody else's.
CONFIG = """\
primary_hostname = mta.test
exim_path = {directory}/root/usr/sbin/exim4
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
begin retry
* * F,1h,1h
"""

USER = "Debian-exim"  # the name is compiled in
NUMBER = "64999"


class Exim:
    """An Exim in the network of the MTAs, which delivers each message at once."""

    def __init__(self, lab, package):
        self._directory = lab.dir / "exim"
        self._directory.mkdir()
        self._log = self._directory / "mainlog"
        run(["dpkg", "-x", package, self._directory / "root"])
        self._make_user(lab)
        (self._directory / "spool").mkdir()
        self._config = self._directory / "exim.conf"
        self._config.write_text(CONFIG.format(directory=self._directory))
        # The folder of the lab is for root alone, and Exim is not root for long.
        for folder in (lab.dir, self._directory):
            folder.chmod(0o755)
        for path in (self._directory, self._directory / "spool"):
            shutil.chown(path, int(NUMBER), int(NUMBER))

    @staticmethod
    def _make_user(lab):
        """In this mount namespace, and nowhere else."""
        for file, line in (("passwd", f"{USER}:x:{NUMBER}:{NUMBER}::/:/usr/sbin/nologin"), ("group", f"{USER}:x:{NUMBER}:")):
            known = lab.dir / file
            known.write_text(Path("/etc", file).read_text() + line + "\n")
            run(["mount", "--bind", known, f"/etc/{file}"])

    def send(self, recipient):
        """Sends one message and waits for what becomes of it: (status, what the log says)."""
        command = [self._directory / "root/usr/sbin/exim4", "-C", self._config, "-odf", "-f", "<>", recipient]
        subprocess.run(
            networks.inside("wax-mta", [str(word) for word in command]),
            input="Subject: wax\n\nhello\n", capture_output=True, text=True, check=True,
        )
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if recipient in line]
        sent = any(re.search(rf" [=-]> {re.escape(recipient)} ", line) for line in lines)
        return "sent" if sent else "deferred", "\n".join(lines)
