"""MTAs whose log tells what became of each message."""

import re
import smtplib
from dataclasses import dataclass

from lab import listening, wait_until
from postfix import Instance

PATIENCE = 120  # seconds for one question to one server


def send(address, recipient):
    """Sends one message to the server at port 25. Returns the reply that decides."""
    with smtplib.SMTP(address, 25, local_hostname="client.test", timeout=PATIENCE) as session:
        session.ehlo()
        options = [] if recipient.isascii() else ["SMTPUTF8"]
        session.command_encoding = "utf-8"
        for code, text in (session.mail("", options), session.rcpt(recipient)):
            if code != 250:
                break
        else:
            try:
                code, text = session.data("Subject: wax\r\n\r\nhello\r\n")
            except smtplib.SMTPDataError as refused:
                code, text = refused.smtp_code, refused.smtp_error
        return code, text.decode(errors="replace")


@dataclass(frozen=True)
class Attempt:
    """What the log tells of the first attempt to deliver a message."""

    status: str  # sent, deferred, bounced
    shaken: str  # the line about its TLS connection; empty without one
    told: str  # the line about its delivery


class FollowedMta(Instance):
    """An MTA that takes mail by SMTP at address:25, and is watched while it delivers."""

    def __init__(self, lab, name, main, address):
        self.address = address
        super().__init__(lab, name, main, f"{address}:25 inet n - n - - smtpd\n", [])

    def start(self):
        super().start()
        wait_until(self.name, lambda: listening(self.address, 25), 20)

    def attempts(self, recipients):
        """Sends a message to every recipient and waits for what becomes of each: recipient -> Attempt."""
        for recipient in recipients:
            code, text = send(self.address, recipient)
            if code != 250:
                refused = Attempt("refused", "", f"{code} {text}")
                return dict.fromkeys(recipients, refused)
        seen = {}

        def all_seen():
            seen.update(self._seen())
            return set(recipients) <= set(seen)

        wait_until(f"{self.name}: deliveries", all_seen, 2 * PATIENCE)
        return seen

    def _seen(self):
        """Reads the log. A delivering process has one delivery at a time, its TLS line comes before the status."""
        tls = {}
        for line in self.log.read_text().splitlines():
            seen = re.search(r" (postfix/\w+\[\d+\]): (.*)", line)
            if not seen:
                continue
            process, text = seen.groups()
            if "TLS connection established to" in text:
                tls[process] = text
            delivery = re.search(r"^\w+: to=<([^>]*)>, .* status=(\w+) ", text)
            if delivery:
                recipient, status = delivery.groups()
                yield recipient, Attempt(status, tls.pop(process, ""), text)
