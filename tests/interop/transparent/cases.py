"""The cases: what DNS says of a domain, what its hosts show, and what becomes of mail.

Every case is two domains, one whose hosts have IPv4 addresses and one with IPv6. `zone` is in terms of `IP1`, `IP2` (the
hosts) and `DEAD`; names end in the word of their zone (see dane/zones.py). `goes_to` is the host that the MTA is told to
use, past DNS.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    to: str  # the zone of the domain
    zone: str
    status: str  # what Postfix says: sent, deferred
    told: str  # in the line of Postfix's log
    proof: str = ""  # `authentication` or `encryption` in waxseal's log
    mx1: str = ""  # what the host shows, see dane/hosts.py
    mx2: str = ""
    goes_to: str = ""


MX = "to MX 10 mx1\nmx1 IP IP1\n"
TWO = "to MX 10 mx1\nto MX 20 mx2\nmx1 IP IP1\nmx2 IP IP2\n"
MATCH = "_25._tcp.mx1 TLSA 3 1 1 leaf1\n"
WRONG = "_25._tcp.mx1 TLSA 3 1 1 00\n"
QUEUED = "250 2.0.0 Ok: "  # and the octets, where they came by BDAT

CASES = (
    Case("dane-ok", "signed", MX + MATCH, "sent", QUEUED, 'authentication="dane"'),
    Case("dane-broken", "signed", MX + WRONG, "deferred", "451 4.7.5 mx1.", 'reason="tlsa-invalid"'),
    Case("dane-no-tls", "signed", MX + WRONG, "deferred", "451 4.7.4 mx1.", 'reason="starttls-not-supported"', mx1="no-tls"),
    Case("bogus", "broken", MX, "deferred", "451 4.4.3 DNS look-up of MX"),
    Case("opportunistic", "open", MX, "sent", QUEUED, 'encryption="tls" authentication="none"', mx1="self-signed"),
    Case("offers-nothing", "open", MX, "sent", QUEUED, 'encryption="plaintext"', mx1="no-tls"),
    Case("first-mx-is-dead", "open", "to MX 5 mx0\nmx0 IP DEAD\n" + MX, "sent", QUEUED, 'encryption="tls"'),
    Case("next-mx-after-a-policy", "signed", TWO + WRONG + "_25._tcp.mx2 TLSA 3 1 1 leaf2\n", "sent", QUEUED,
         'authentication="dane"'),
    Case("in-no-answer-and-proven", "signed", MX + "_25._tcp.mx1 TLSA 3 1 1 leaf2\n", "sent", QUEUED,
         'authentication="dane"', goes_to="IP2"),
    Case("in-no-answer-and-not-proven", "signed", MX + MATCH, "deferred", "451 4.7.5 mx1.", 'reason="tlsa-invalid"',
         goes_to="IP2"),
)
