"""One case over one way: hand a message in, watch what becomes of each recipient, judge it."""

import email
import smtplib
import time
from collections import defaultdict
from dataclasses import dataclass, field

from cases import Arrives, Bounces, Waits
from internet import GATE, SENDER
from message import Delivered, Message


@dataclass
class Fate:
    """What has become of one recipient so far."""

    delivered: list = field(default_factory=list)  # paths of the files
    bounced: list = field(default_factory=list)  # statuses
    queued: bool = False
    reason: str = ""  # why it is still queued; empty before the first attempt has ended

    def settled(self):
        """Will this stay as it is (until the MTA's next retry)?"""
        if not self.queued:
            return bool(self.delivered or self.bounced)
        # Waiting for the next transaction with the `relay` listener is not a fate, but a turn.
        return bool(self.reason) and " 4.5.3 " not in self.reason

    def __str__(self):
        parts = [f"delivered {len(self.delivered)} times", *(f"bounced with {status}" for status in self.bounced)]
        if self.queued:
            parts.append(f"queued: {self.reason or 'no attempt has ended yet'}")
        return ", ".join(parts)


class Trial:
    """A message on its way."""

    def __init__(self, case, sender, network):
        self.case = case
        self._sender = sender
        self._internet = network.internet
        self._sealed = network.waxseal is not None
        self.message = Message.make(case.name, case.body)
        self.queue_id = None

    def run(self):
        """Sends and waits. Returns what is wrong, in sentences, and the MTA's side of the story."""
        self._submit()
        deadline = time.monotonic() + self.case.seconds
        fates = self.fates()
        while not all(fate.settled() for fate in fates.values()) and time.monotonic() < deadline:
            time.sleep(0.2)
            fates = self.fates()
        complaints = [complaint for recipient in fates for complaint in self._judge(recipient, fates[recipient])]
        self._clear_queue()
        return complaints + (self._sender.log_of(self.queue_id) if complaints else [])

    def _submit(self):
        with smtplib.SMTP(GATE, self._sender.port, local_hostname="client.example", timeout=60) as client:
            client.ehlo()
            self._expect(250, client.mail(SENDER, ["BODY=8BITMIME"]))
            for recipient in self.case.fates:
                self._expect(250, client.rcpt(recipient))
            text = self._expect(250, client.data(self.message.content))
            self.queue_id = text.decode().rpartition("queued as ")[2]

    @staticmethod
    def _expect(code, reply):
        if reply[0] != code:
            raise smtplib.SMTPResponseException(*reply)
        return reply[1]

    def fates(self):
        """What has become of each recipient."""
        # The queue first: what has left it by now can be found below, what leaves it later is still queued here.
        queued = self._sender.queue().get(self.queue_id, {})
        bounced = self._bounced()
        return {
            recipient: Fate(
                delivered=[path for path in self._internet.maildir(recipient) if self._is_ours(path)],
                bounced=bounced[recipient],
                queued=recipient in queued,
                reason=queued.get(recipient, ""),
            )
            for recipient in self.case.fates
        }

    def _is_ours(self, path):
        return Delivered.read(path).message_id == self.message.id

    def _bounced(self):
        """Recipient -> statuses, from the non-delivery notices in the sender's mailbox."""
        found = defaultdict(list)
        for path in self._sender.maildir(SENDER):
            for part in email.message_from_bytes(path.read_bytes()).walk():
                if part.get_content_type() != "message/delivery-status":
                    continue
                notice, *recipients = part.get_payload()
                if notice["X-Postfix-Queue-ID"] == self.queue_id:
                    for recipient in recipients:
                        address = recipient["Final-Recipient"].partition(";")[2].strip()
                        found[address].append(recipient["Status"])
        return found

    def _judge(self, recipient, fate):
        expected = self.case.fates[recipient]
        judge = {Arrives: self._judge_arrival, Bounces: _judge_bounce, Waits: _judge_wait}[type(expected)]
        for complaint in judge(recipient, expected, fate):
            yield f"{recipient}, which {expected}: {complaint}"

    def _judge_arrival(self, recipient, expected, fate):
        if len(fate.delivered) != 1 or fate.bounced or fate.queued:
            yield str(fate)
            return
        content = fate.delivered[0].read_bytes()
        delivered = Delivered.read(fate.delivered[0])
        if (delivered.mx, delivered.tls) != (expected.mx.host, expected.tls):
            yield f"went to {delivered.mx} with {delivered.tls or 'plaintext'}"
        if delivered.recipient != recipient or not content.startswith(b"Return-Path: <%s>\n" % SENDER.encode()):
            yield f"envelope changed: {content[:200]!r}"
        difference = self.message.difference(content)
        if difference:
            yield difference
        if self._sealed:
            yield from self._judge_seal(recipient, expected)

    def _judge_seal(self, recipient, expected):
        lines = self._sender.sent_lines(self.queue_id, recipient)
        seals = [line.rpartition("[")[2] for line in lines]
        wanted = f"{expected.mx.host} {expected.tls or 'plaintext'}"
        if len(seals) != 1 or not seals[0].startswith(wanted):
            yield f"the MTA's log does not tell the truth once: {lines}"

    def _clear_queue(self):
        """What waits would be tried again and again, and be counted again and again."""
        if self.queue_id in self._sender.queue():
            self._sender.drop(self.queue_id)


def _judge_bounce(_recipient, expected, fate):
    if fate.bounced != [expected.status] or fate.delivered or fate.queued:
        yield str(fate)


def _judge_wait(_recipient, expected, fate):
    if not fate.queued or fate.delivered or fate.bounced or not expected.explains(fate.reason):
        yield str(fate)
