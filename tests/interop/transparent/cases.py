"""The cases: what DNS and a policy of MTA-STS say of a domain, what its hosts show, and what becomes of mail.

Every case is two domains, one whose hosts have IPv4 addresses and one with IPv6. `zone` is in terms of `IP1`, `IP2` (the
hosts) and `DEAD`; names end in the word of their zone (see dane/zones.py). `goes_to` is the host whose address an MTA finds
in DNS, at the name of the first one: an address that is in no answer of waxseal's name server.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    to: str  # the zone of the domain
    zone: str
    status: str  # what Postfix says: sent, deferred
    told: str  # in the line of Postfix's log
    proof: str = ""  # in waxseal's log
    mx1: str = ""  # what the host shows, see dane/hosts.py, the last words perhaps `as NAME`
    mx2: str = ""
    policy: str = ""  # the hosts that a policy of MTA-STS names, if there is one
    goes_to: str = ""
    bypassed: bool = False  # the hosts are in a network of `bypass`


MX = "to MX 10 mx1\nmx1 IP IP1\n"
TWO = "to MX 10 mx1\nto MX 20 mx2\nmx1 IP IP1\nmx2 IP IP2\n"
DEAD_FIRST = "to MX 5 mx0\nmx0 IP DEAD\n" + MX
MATCH = "_25._tcp.mx1 TLSA 3 1 1 leaf1\n"
WRONG = "_25._tcp.mx1 TLSA 3 1 1 00\n"
MATCH_2 = "_25._tcp.mx1 TLSA 3 1 1 leaf2\n"
QUEUED = "250 2.0.0 Ok: "  # and the octets, where they came by BDAT

DANE = 'authentication="dane"'
PKIX = 'policy="mta-sts" encryption="tls" authentication="pkix"'
NO_MATCH = 'reason="tlsa-invalid"'
NO_STARTTLS = 'reason="starttls-not-supported"'
OTHER_NAME = 'reason="certificate-host-mismatch"'

CASES = (
    Case("dane-ok", "signed", MX + MATCH, "sent", QUEUED, DANE),
    Case("dane-broken", "signed", MX + WRONG, "deferred", "451 4.7.5 mx1.", NO_MATCH),
    Case("dane-no-tls", "signed", MX + WRONG, "deferred", "451 4.7.4 mx1.", NO_STARTTLS, mx1="no-tls"),
    Case("bogus", "broken", MX, "deferred", "451 4.4.3 DNS look-up of MX"),
    Case("sts-ok", "open", MX, "sent", QUEUED, PKIX, policy="mx1"),
    Case("sts-other-name", "open", MX, "deferred", "451 4.7.5 mx1.", OTHER_NAME, mx1="as other", policy="mx1"),
    Case("sts-untrusted", "open", MX, "deferred", "451 4.7.5 mx1.", 'reason="certificate-not-trusted"', mx1="stranger", policy="mx1"),
    Case("sts-no-tls", "open", MX, "deferred", "451 4.7.4 mx1.", NO_STARTTLS, mx1="no-tls", policy="mx1"),
    Case("sts-not-named", "open", MX, "deferred", "451 4.7.5 mx1.", "why=\"mx1.", policy="other"),
    Case("sts-beside-dane", "signed", MX + MATCH, "sent", QUEUED, DANE, mx1="stranger", policy="mx1"),
    Case("sts-beside-broken-dane", "signed", MX + WRONG, "deferred", "451 4.7.5 mx1.", NO_MATCH, policy="mx1"),
    Case("opportunistic", "open", MX, "sent", QUEUED, 'encryption="tls" authentication="none"', mx1="self-signed"),
    Case("offers-nothing", "open", MX, "sent", QUEUED, 'encryption="plaintext"', mx1="no-tls"),
    Case("first-mx-is-dead", "open", DEAD_FIRST, "sent", QUEUED, 'encryption="tls"'),
    Case("next-mx-after-dane", "signed", TWO + WRONG + "_25._tcp.mx2 TLSA 3 1 1 leaf2\n", "sent", QUEUED, DANE),
    Case("next-mx-after-sts", "open", TWO, "sent", QUEUED, PKIX, mx1="stranger", policy="mx1 mx2"),
    Case("next-mx-is-named", "open", TWO, "sent", QUEUED, PKIX, policy="mx2"),
    Case("in-no-answer-and-dane", "signed", MX + MATCH_2, "sent", QUEUED, DANE, goes_to="IP2"),
    Case("in-no-answer-and-not-proven", "signed", MX + MATCH, "deferred", "451 4.7.5 mx1.", NO_MATCH, goes_to="IP2"),
    Case("in-no-answer-and-sts", "open", MX, "sent", QUEUED, PKIX, mx2="as mx1", policy="mx1", goes_to="IP2"),
    Case("in-no-answer-and-not-mx1", "open", MX, "deferred", "451 4.7.5 mx1.", OTHER_NAME, policy="mx1", goes_to="IP2"),
    Case("bypassed", "signed", MX + WRONG, "sent", QUEUED, bypassed=True),
    Case("bypassed-first-mx-is-dead", "open", DEAD_FIRST, "sent", QUEUED, bypassed=True),
)
