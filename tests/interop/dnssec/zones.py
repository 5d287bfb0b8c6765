"""The tree of the lab: a root, four top-level domains, and a zone for every way in which DNSSEC can be used or broken.

Nothing is written here; `signing.py` makes files of it, `cases.py` says what is true of it.
"""

import hashlib
from dataclasses import dataclass, field

# One name server for each floor of the tree, and one address where nothing listens.
ROOT, TLD, SLD, DEAD = "127.53.0.1", "127.53.1.1", "127.53.2.1", "127.53.3.1"
# In front of SLD, for the zones whose answers an attacker rewrites.
TAMPERING = "127.53.2.9"

TLSA = "TLSA 3 1 1 " + hashlib.sha256(b"a certificate").hexdigest()
DAY = 86400


@dataclass
class Zone:
    """One zone. The defaults are those of a zone without any fault."""

    name: str  # without the last dot; the root is empty
    server: str = SLD
    records: str = ""
    algorithm: int | None = 13  # none: not signed
    key_size: int = 2048  # of an RSA key
    one_key: bool = False  # for the zone and its keys (CSK)
    denial: str = "nsec"  # or nsec3
    iterations: int = 0
    opt_out: bool = False
    ds: str = "sha256"  # what the parent says: also none, sha1, sha384, wrong, unknown-digest, mixed, invented
    valid: tuple = (-3600, 30 * DAY)  # seconds from now
    spoiled: str | None = None  # after signing: tampered, unsigned-records, unknown-algorithm
    served: bool = True
    children: list = field(default_factory=list)
    keys: list = field(default_factory=list)  # (base name of the key files, is it the one that signs keys)

    @property
    def origin(self):
        return self.name + "."

    @property
    def is_signed(self):
        return self.algorithm is not None

    def parent(self, zones):
        """The zone that delegates this one."""
        name = self.name
        while name:
            name = name.partition(".")[2]
            if name in zones:
                return zones[name]
        return None


# What most zones hold: hosts with and without TLSA records, aliases, wildcards, a name that only its children have.
USUAL = f"""
@ MX 10 mx1
@ MX 20 mx2
@ TXT "v=spf1 -all"
mx1 A 127.53.5.1
mx1 AAAA 2001:db8::1
mx2 A 127.53.5.2
mx3 A 127.53.5.3
mxc A 127.53.5.4
nomx A 127.53.5.5
host A 127.53.5.9
mxw A 127.53.5.10
_25._tcp.mx1 {TLSA}
_25._tcp.mx3 TXT "no TLSA record here"
_tlsa {TLSA}
_25._tcp.mxc CNAME _tlsa
*._tcp.mxw {TLSA}
*.wild MX 10 mx1
*.wtlsa A 127.53.5.6
*.wtlsa {TLSA}
*.wcn CNAME _tlsa
leaf.a.b.deep TXT "the names above have nothing"
c-in CNAME mx1
"""

# Aliases of every kind, out of a signed zone.
ALIASES = f"""
c-secsec CNAME host.rsa.sec.
c-secins CNAME host.ins.sec.
c-dangle CNAME nope
c-dangle-x CNAME nope.rsa.sec.
c-dangle-ins CNAME nope.ins.sec.
c-nodata CNAME nomx
c-nodata-ins CNAME nomx.ins.sec.
c-bogus CNAME host.badds.sec.
c-tamper CNAME mx1.tamper.sec.
c-servfail CNAME host.lame.sec.
c-2 CNAME c-secsec
c-3 CNAME c-2
c-2i CNAME c-back.ins.sec.
c-3i CNAME c-2i
c-loop CNAME c-loop2
c-loop2 CNAME c-loop
mxci A 127.53.5.7
_25._tcp.mxci CNAME _tlsa.ins.sec.
_25._tcp.mxcx CNAME _tlsa.rsa.sec.
dn DNAME target
dni DNAME ins.sec.
t.target A 127.53.5.8
t.target MX 10 mx1
_25._tcp.t.target {TLSA}
nullmx MX 0 .
"""

# And out of a zone that is not signed.
ALIASES_OF_UNSIGNED = """
c-inssec CNAME mx1.good.sec.
c-back CNAME mx1.good.sec.
_25._tcp.mxcs CNAME _tlsa.good.sec.
c-insbogus CNAME host.badds.sec.
c-insdangle CNAME nope.good.sec.
c-insnodata CNAME nomx.good.sec.
"""

WILDCARD_AT_THE_APEX = """
* MX 10 mx.good.sec.
* A 127.53.8.1
a A 127.53.8.2
m A 127.53.8.3
z A 127.53.8.4
"""


def thirty_mx():
    """More than fits a datagram."""
    hosts = [f"a-mail-exchanger-with-a-long-name-{number:02d}.many" for number in range(30)]
    records = [f"many MX {10 + number} {host}" for number, host in enumerate(hosts)]
    records += [f"{host} A 127.53.6.{1 + number}" for number, host in enumerate(hosts)]
    return "\n".join(records) + "\n"


def usual(name, **differences):
    return Zone(name, **{"records": USUAL, **differences})


def unsigned(name, **differences):
    return usual(name, algorithm=None, ds="none", **differences)


def tree():
    """All zones by name."""
    zones = [
        Zone("", ROOT),
        Zone("sec", TLD),
        Zone("n3", TLD, denial="nsec3"),
        Zone("oo", TLD, denial="nsec3", opt_out=True),
        Zone("uns", TLD, algorithm=None, ds="none"),
        usual("good.sec", records=USUAL + ALIASES + thirty_mx()),
        usual("sub.good.sec"),
        unsigned("insub.good.sec"),
        usual("n3good.sec", records=USUAL + ALIASES, denial="nsec3"),
        usual("n3oo.sec", denial="nsec3", opt_out=True),
        unsigned("ins.n3oo.sec"),
        usual("n3it120.sec", denial="nsec3", iterations=120),
        usual("n3it200.sec", denial="nsec3", iterations=200),
        usual("n3it600.sec", denial="nsec3", iterations=600),
        usual("csk.sec", one_key=True),
        usual("rsa.sec", algorithm=8),
        usual("rsa1024.sec", algorithm=8, key_size=1024),
        usual("sha1.sec", algorithm=7),
        usual("sha512.sec", algorithm=10),
        usual("p384.sec", algorithm=14),
        usual("ed.sec", algorithm=15),
        usual("ed448.sec", algorithm=16),
        usual("unkalg.sec", spoiled="unknown-algorithm"),
        usual("unkds.sec", ds="unknown-digest"),
        usual("ds1.sec", ds="sha1"),
        usual("ds384.sec", ds="sha384"),
        usual("dsmix.sec", ds="mixed"),
        unsigned("ins.sec", records=USUAL + ALIASES_OF_UNSIGNED),
        usual("island.sec", ds="none"),
        usual("badds.sec", ds="wrong"),
        usual("strip.sec", algorithm=None, ds="invented"),
        usual("expired.sec", valid=(-40 * DAY, -10 * DAY)),
        usual("notyet.sec", valid=(10 * DAY, 40 * DAY)),
        usual("tamper.sec", spoiled="tampered"),
        usual("nosig.sec", spoiled="unsigned-records"),
        usual("lame.sec", served=False),
        usual("dead.sec", server=DEAD, served=False),
        usual("tlsasf.sec", records=without_tlsa_of_mx1() + "_tcp.mx1 NS ns.dead.sec.\n"),
        usual("good.n3", denial="nsec3"),
        unsigned("ins.n3"),
        usual("good.oo"),
        unsigned("ins.oo"),
        unsigned("ins.uns"),
        usual("island.uns", ds="none"),
        usual("mitm.sec", server=TAMPERING),
        unsigned("ins.mitm.sec", server=TAMPERING),
        usual("wcapex.sec", records=WILDCARD_AT_THE_APEX),
        usual("wcapex3.sec", records=WILDCARD_AT_THE_APEX, denial="nsec3"),
    ]
    by_name = {zone.name: zone for zone in zones}
    for zone in zones:
        if zone.name:
            zone.parent(by_name).children.append(zone)
    return by_name


def without_tlsa_of_mx1():
    return "\n".join(line for line in USUAL.splitlines() if not line.startswith("_25._tcp.mx1 ")) + "\n"
