"""Test messages, and the question whether what was delivered is what was sent."""

import random
import re
import uuid
from dataclasses import dataclass

from internet import SENDER

# What the servers on the way may put in front of a message. Everything below must be as it was sent.
TRACE_HEADERS = {"return-path", "x-original-to", "delivered-to", "received"}

BODIES = {}


def body(make):
    """Registers a function that makes a body under its name."""
    BODIES[make.__name__] = make
    return make


@body
def plain():
    return b"One line.\r\n\r\nAnother one.\r\n"


@body
def empty():
    return b""


@body
def eight_bit():
    everything = bytes(octet for octet in range(1, 256) if octet not in b"\r\n")
    return "Grüße, 你好\r\n".encode() + everything + b"\r\n"


@body
def dots():
    lines = [b".", b"..", b".leading", b"...", b"trailing.", b"", b".", b".\t", b". ", b"QUIT", b"."]
    return b"".join(line + b"\r\n" for line in lines)


@body
def long_lines():
    # RFC 5321 §4.5.3.1.6: 1000 octets with CRLF. The dot makes it 1001 on the wire.
    return b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n" + b"z" * 998 + b"\r\n"


@body
def fifty_megabytes():
    # Not compressible and not periodic, so that a lost or doubled buffer cannot go unnoticed.
    noise = random.Random(50).randbytes(24 * 1024)
    block = b"".join(noise[at : at + 36].hex().encode() + b"\r\n" for at in range(0, len(noise), 36))
    numbered = (b"%08d\r\n" % number + block for number in range(50_000_000 // len(block) + 1))
    return b"".join(numbered)


@dataclass
class Message:
    """A message as the sender hands it in, with CRLF line ends."""

    id: str
    content: bytes

    @classmethod
    def make(cls, subject, kind):
        id = f"<{uuid.uuid4()}@sender.example>"
        # A folded header, white space at a line's end and an odd spelling: gates like to "repair" them.
        header = (
            f"From: <{SENDER}>\r\n"
            "To: undisclosed-recipients:;\r\n"
            f"Subject: {subject}\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            f"Message-ID: {id}\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n"
            "x-FoLdEd: one  \r\n"
            "\ttwo\r\n"
            " three\r\n"
            "\r\n"
        )
        return cls(id, header.encode() + BODIES[kind]())

    def difference(self, delivered):
        """How a delivered file differs from what was sent; None if it does not."""
        # Maildirs have bare LF.
        sent = self.content.replace(b"\r\n", b"\n")
        if not delivered.endswith(sent):
            return f"{len(delivered)} octets delivered, which do not end in the {len(sent)} that were sent"
        added = delivered[: len(delivered) - len(sent)]
        names = {name.decode().lower() for name in re.findall(rb"(?m)^([^\s:]+):", added)}
        unfolded = re.sub(rb"\n[ \t]+", b" ", added)
        if names - TRACE_HEADERS or any(b":" not in line for line in unfolded.splitlines()):
            return f"something other than trace headers was put in front: {added!r}"
        return None


@dataclass(frozen=True)
class Delivered:
    """One file in a Maildir, as its trace headers tell it."""

    message_id: str
    recipient: str
    mx: str  # the host that took it from waxseal
    tls: str  # "TLSv1.3", "" for plaintext
    transaction: str  # the MX's queue id: one per accepted message, however many recipients

    @classmethod
    def read(cls, path):
        with open(path, "rb") as file:
            header = file.read(8192).split(b"\n\n")[0].decode("latin-1")
        unfolded = re.sub(r"\n[ \t]+", " ", header)
        received = _first("Received", unfolded)
        using = re.search(r"\(using (\S+) with cipher", received)
        return cls(
            message_id=_first("Message-ID", unfolded),
            recipient=_first("Delivered-To", unfolded),
            mx=re.search(r" by (\S+) ", received)[1],
            tls=using[1] if using else "",
            transaction=re.search(r" with \S+ id (\w+)", received)[1],
        )


def _first(name, header):
    return re.search(rf"(?m)^{name}: (.*)$", header)[1].strip()
