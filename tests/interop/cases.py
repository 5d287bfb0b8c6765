"""What is sent, and what must become of it. One entry is one message; it goes over `relay` and over `lmtp`."""

import re
from dataclasses import dataclass

from internet import ENCRYPT, PLAIN, SECURE, STRANGER, TLS, UNKNOWN, Mx


@dataclass(frozen=True)
class Arrives:
    """Delivered exactly once, unchanged, by this MX, with or without TLS."""

    mx: Mx
    tls: str = "TLSv1.3"

    def __str__(self):
        return f"arrives at {self.mx.host} with {self.tls or 'plaintext'}"


@dataclass(frozen=True)
class Bounces:
    """Returned to the sender at once, with this status."""

    status: str

    def __str__(self):
        return f"bounces with {self.status}"


@dataclass(frozen=True)
class Waits:
    """Stays in the MTA's queue; the reason holds this enhanced status and these words (regular expression)."""

    status: str
    words: str

    def explains(self, reason):
        return f" {self.status} " in reason and re.search(self.words, reason, re.IGNORECASE)

    def __str__(self):
        return f"waits with {self.status} and a text like /{self.words}/"


@dataclass(frozen=True)
class Case:
    """One message."""

    name: str
    fates: dict  # recipient -> Arrives | Bounces | Waits
    body: str = "plain"
    direct: bool = False  # meaningful without waxseal, too
    seconds: int = 45


PLAINTEXT = ""

CASES = [
    Case("one-recipient", {"anneliese@tls.example": Arrives(TLS)}, direct=True),
    Case(
        "one-domain",
        {f"{local_part}@tls.example": Arrives(TLS) for local_part in ("anneliese", "bartholomew", "cunegonde")},
        direct=True,
    ),
    Case(
        "many-domains",
        {
            "anneliese@many1.example": Arrives(TLS),
            "bartholomew@many1.example": Arrives(TLS),
            "anneliese@many2.example": Arrives(TLS),
            "bartholomew@many3.example": Arrives(PLAIN, PLAINTEXT),
            "anneliese@many4.example": Arrives(ENCRYPT),
            "cunegonde@many5.example": Arrives(SECURE),
        },
        direct=True,
    ),
    Case(
        "rejected-recipient",
        {
            "anneliese@tls.example": Arrives(TLS),
            f"{UNKNOWN}@tls.example": Bounces("5.1.1"),
            "bartholomew@tls.example": Arrives(TLS),
        },
        direct=True,
    ),
    Case("all-recipients-rejected", {f"{UNKNOWN}@plain.example": Bounces("5.1.1")}, direct=True),
    Case("first-mx-dead", {"anneliese@two-mx.example": Arrives(TLS)}),
    Case("all-mx-dead", {"anneliese@dead.example": Waits("4.4.1", r"mx-dead[12]\.example.*connect")}),
    Case("null-mx", {"anneliese@nullmx.example": Bounces("5.1.10")}),
    Case("no-such-domain", {"anneliese@nosuch.example": Bounces("5.1.2")}),
    Case(
        "every-fate-at-once",
        {
            "anneliese@tls.example": Arrives(TLS),
            f"{UNKNOWN}@tls.example": Bounces("5.1.1"),
            "anneliese@dead.example": Waits("4.4.1", r"mx-dead[12]\.example.*connect"),
            "bartholomew@nullmx.example": Bounces("5.1.10"),
            "bartholomew@plain.example": Arrives(PLAIN, PLAINTEXT),
            "cunegonde@plain-but-must.example": Waits("4.7.4", r"mx-plain\.example.*TLS is required"),
        },
        seconds=90,
    ),
    Case(
        "fifty-megabytes",
        {"anneliese@tls.example": Arrives(TLS), "bartholomew@plain.example": Arrives(PLAIN, PLAINTEXT)},
        body="fifty_megabytes",
        direct=True,
        seconds=240,
    ),
    Case("eight-bit", {"anneliese@tls.example": Arrives(TLS)}, body="eight_bit", direct=True),
    Case("dots", {"anneliese@tls.example": Arrives(TLS)}, body="dots", direct=True),
    Case("long-lines", {"anneliese@tls.example": Arrives(TLS)}, body="long_lines", direct=True),
    Case("empty-body", {"anneliese@tls.example": Arrives(TLS)}, body="empty", direct=True),
    Case("encrypting", {"anneliese@encrypt.example": Arrives(ENCRYPT)}, direct=True),
    Case("not-encrypting", {"anneliese@plain.example": Arrives(PLAIN, PLAINTEXT)}, direct=True),
    Case(
        "rule-encrypt-broken",
        {"anneliese@plain-but-must.example": Waits("4.7.4", r"mx-plain\.example.*TLS is required")},
    ),
    Case("rule-secure-kept", {"anneliese@secure.example": Arrives(SECURE)}),
    Case(
        "rule-secure-wrong-name",
        {"anneliese@wrongname.example": Waits("4.7.5", r"mx-wrong\.example.*another name")},
    ),
    Case(
        "rule-secure-unknown-ca",
        {"anneliese@stranger.example": Waits("4.7.5", r"mx-stranger\.example.*not trusted")},
    ),
    Case("rule-observed", {"anneliese@careful.example": Arrives(STRANGER)}),
]
