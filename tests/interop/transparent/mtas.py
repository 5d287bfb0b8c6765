"""Those who send: Postfix and curl. None of them knows of waxseal, but curl that it is a SOCKS server."""

import re
import subprocess

import networks
from lab import LabError, listening, run, wait_until
from postfix import Instance
from sending import PATIENCE, send

# TLS is somebody else's, or that MTA insists on it.
SENDING = """\
inet_protocols = ipv4, ipv6
mynetworks = 127.0.0.0/8, 10.9.0.0/16
smtp_tls_security_level = {tls}
smtp_tls_loglevel = 1
{more}
"""


class Elsewhere(Instance):
    """A Postfix in one of the networks."""

    def __init__(self, lab, network, name, main, master):
        self._network = network
        super().__init__(lab, name, main, master, [])

    def start(self):
        command = ["postfix", "-c", str(self.config), "start"]
        run(networks.inside(self._network, command) if self._network else command)


class Sender(Elsewhere):
    """A Postfix that takes mail at its address: behind the gateway, or on it (`network` is `None`)."""

    def __init__(self, lab, network, name, address, tls="none", more=""):
        self.address = address
        main = SENDING.format(tls=tls, more=more)
        super().__init__(lab, network, f"sender-{name}", main, f"{address}:25 inet n - n - - smtpd\n")
        self.start()
        wait_until(self.name, lambda: listening(address, 25), 20)

    def fates(self, recipients):
        """Sends a message to each and waits for what becomes of it, at first: recipient -> (status, line)."""
        start = self.log.stat().st_size
        for recipient in recipients:
            code, text = send(self.address, recipient)
            if code != 250:
                raise LabError(f"{self.name} refuses: {code} {text}")
        wait_until(self.name, lambda: set(recipients) <= set(self._fates(start)), PATIENCE)
        return self._fates(start)

    def _fates(self, start):
        known = {}
        for line in since(self.log, start).splitlines():
            found = re.search(r": to=<([^>]*)>, .* status=(\w+) ", line)
            if found and "/smtp[" in line:
                known.setdefault(found[1], (found[2], line))
        return known

    def waiting(self):
        """What is in the queue: recipient -> why."""
        return {recipient: why for message in self.queue().values() for recipient, why in message.items()}

    def forget(self):
        """Empties the queue."""
        run(["postsuper", "-c", self.config, "-d", "ALL"])


def since(log, start):
    """What a log says since it was so long."""
    return log.read_bytes()[start:].decode(errors="replace")


class Curl:
    """curl, which looks up no MX: it connects to a host by its address or by its name."""

    def __init__(self, lab, way):
        self._way = way
        self._message = lab.dir / "message"
        self._message.write_text("Subject: wax\r\n\r\nhello\r\n")

    def send(self, recipient, host):
        """One message through the `socks5` listener: (status, the replies that decide)."""
        host = f"[{host}]" if ":" in host else host
        done = subprocess.run(
            ["curl", "--verbose", "--silent", "--show-error", "--max-time", str(PATIENCE), self._way, "127.0.0.1:1080",
             "--mail-from", "", "--mail-rcpt", recipient, "--upload-file", self._message, f"smtp://{host}:25/mta.test"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )
        replies = [line[2:] for line in done.stderr.splitlines() if re.match("< [245]", line)]
        if done.returncode == 0:
            # The last good word is that to the end of data: curl says QUIT behind it.
            return "sent", " ".join(replies)
        bad = [reply for reply in replies if reply[0] in "45"]
        return "deferred", " ".join(bad) or done.stderr
