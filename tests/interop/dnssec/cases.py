"""What is asked, and what is true of it by construction of the zones.

A truth is `S` (secure) or `I` (insecure) with `+` (records), `nd` (no such record) or `nx` (no such name); or `B` (bogus)
or `F` (no answer to be had), which for a sender of mail are the same.
"""

from dataclasses import dataclass


@dataclass
class Case:
    name: str
    kind: str
    truth: str
    note: str = ""


def five(zone, security, **differences):
    """What a sender asks of any zone. `differences` replace a truth by its key."""
    truth = {"mx": "+", "a": "+", "tlsa": "+", "no_name": "nx", "no_tlsa": "nd"}
    told = {key: differences.get(key, security + what) for key, what in truth.items()}
    yield Case(f"{zone}.", "MX", told["mx"])
    yield Case(f"mx1.{zone}.", "A", told["a"])
    yield Case(f"_25._tcp.mx1.{zone}.", "TLSA", told["tlsa"])
    yield Case(f"_25._tcp.mx2.{zone}.", "TLSA", told["no_name"])
    yield Case(f"_25._tcp.mx3.{zone}.", "TLSA", told["no_tlsa"])


def names(zone, s):
    """Every kind of presence and absence in one zone."""
    yield from five(zone, s)
    yield Case(f"mx1.{zone}.", "AAAA", s + "+")
    yield Case(f"nomx.{zone}.", "MX", s + "nd")
    yield Case(f"nope.{zone}.", "A", s + "nx", "no such name")
    yield Case(f"zzzz.{zone}.", "A", s + "nx", "behind the last name")
    yield Case(f"0.{zone}.", "A", s + "nx", "before the first name")
    yield Case(f"_tcp.mx1.{zone}.", "TLSA", s + "nd", "empty non-terminal")
    yield Case(f"b.deep.{zone}.", "A", s + "nd", "deep empty non-terminal")
    yield Case(f"x.b.deep.{zone}.", "A", s + "nx", "no such name below an empty non-terminal")
    yield Case(f"a.b.x.deep.{zone}.", "A", s + "nx", "no such name, deep")
    yield Case(f"foo.wild.{zone}.", "MX", s + "+", "wildcard")
    yield Case(f"a.b.wild.{zone}.", "MX", s + "+", "wildcard, two labels")
    yield Case(f"foo.wild.{zone}.", "A", s + "nd", "wildcard without the type")
    yield Case(f"_25._tcp.mx.wtlsa.{zone}.", "TLSA", s + "+", "wildcard TLSA")
    yield Case(f"_25._tcp.mx.wtlsa.{zone}.", "MX", s + "nd", "wildcard without the type, three labels")
    yield Case(f"_25._tcp.x.wcn.{zone}.", "TLSA", s + "+", "wildcard CNAME to TLSA")
    yield Case(f"_25._tcp.x.wcn.{zone}.", "A", s + "nd", "wildcard CNAME to NODATA")
    yield Case(f"_25._tcp.mxc.{zone}.", "TLSA", s + "+", "CNAME to TLSA in the zone")
    yield Case(f"{zone}.", "TLSA", s + "nd", "NODATA at the apex")


def aliases(zone):
    """Every kind of alias out of a signed zone."""
    yield Case(f"c-in.{zone}.", "A", "S+", "CNAME in the zone")
    yield Case(f"c-secsec.{zone}.", "A", "S+", "CNAME to another signed zone")
    yield Case(f"c-secins.{zone}.", "A", "I+", "CNAME to an unsigned zone")
    yield Case(f"c-dangle.{zone}.", "A", "Snx", "CNAME to no name")
    yield Case(f"c-dangle-x.{zone}.", "A", "Snx", "CNAME to no name of another signed zone")
    yield Case(f"c-dangle-ins.{zone}.", "A", "Inx", "CNAME to no name of an unsigned zone")
    yield Case(f"c-nodata.{zone}.", "MX", "Snd", "CNAME to NODATA")
    yield Case(f"c-nodata-ins.{zone}.", "MX", "Ind", "CNAME to NODATA of an unsigned zone")
    yield Case(f"c-bogus.{zone}.", "A", "B", "CNAME to a bogus zone")
    yield Case(f"c-tamper.{zone}.", "A", "B", "CNAME to a tampered record")
    yield Case(f"c-servfail.{zone}.", "A", "F", "CNAME to a lame zone")
    yield Case(f"c-3.{zone}.", "A", "S+", "three CNAMEs, all signed")
    yield Case(f"c-3i.{zone}.", "A", "I+", "three CNAMEs, one not signed")
    yield Case(f"_25._tcp.mxci.{zone}.", "TLSA", "I+", "TLSA by CNAME in an unsigned zone")
    yield Case(f"_25._tcp.mxcx.{zone}.", "TLSA", "S+", "TLSA by CNAME in another signed zone")
    yield Case(f"t.dn.{zone}.", "A", "S+", "DNAME in the zone")
    yield Case(f"t.dn.{zone}.", "MX", "S+", "DNAME to MX")
    yield Case(f"_25._tcp.t.dn.{zone}.", "TLSA", "S+", "DNAME to TLSA")
    yield Case(f"q.dn.{zone}.", "A", "Snx", "DNAME to no name")
    yield Case(f"host.dni.{zone}.", "A", "I+", "DNAME to an unsigned zone")
    yield Case(f"nullmx.{zone}.", "MX", "S+", "null MX")
    yield Case(f"c-loop.{zone}.", "A", "F", "CNAMEs in a circle")


def bogus(zone):
    yield from five(zone, "", mx="B", a="B", tlsa="B", no_name="B", no_tlsa="B")


def good_zones():
    yield from names("good.sec", "S")
    yield from aliases("good.sec")
    yield Case("many.good.sec.", "MX", "S+", "30 MX: truncated, then over TCP")
    yield Case("GoOd.SeC.", "MX", "S+", "mixed case")
    yield from five("sub.good.sec", "S")
    yield from five("insub.good.sec", "I")
    yield from names("n3good.sec", "S")
    yield from aliases("n3good.sec")
    yield from five("n3oo.sec", "S", no_name="Inx")
    yield from five("ins.n3oo.sec", "I")
    yield from five("n3it120.sec", "S")
    for many in ("n3it200.sec", "n3it600.sec"):
        yield from five(many, "S", no_name="Inx", no_tlsa="Ind")
    for kind in ("csk", "rsa", "rsa1024", "sha1", "sha512", "p384", "ed", "ed448", "ds1", "ds384", "dsmix"):
        yield from five(f"{kind}.sec", "S")


def insecure_zones():
    for kind in ("unkalg", "unkds", "ins", "island"):
        yield from five(f"{kind}.sec", "I")
    yield from names("ins.sec", "I")
    yield Case("c-inssec.ins.sec.", "A", "I+", "CNAME to a signed zone")
    yield Case("_25._tcp.mxcs.ins.sec.", "TLSA", "I+", "TLSA by CNAME in a signed zone")
    yield Case("c-insbogus.ins.sec.", "A", "B", "CNAME to a bogus zone")
    yield Case("c-insdangle.ins.sec.", "A", "Inx", "CNAME to no name of a signed zone")
    yield Case("c-insnodata.ins.sec.", "MX", "Ind", "CNAME to NODATA of a signed zone")


def broken_zones():
    for kind in ("badds", "strip", "expired", "notyet"):
        yield from bogus(f"{kind}.sec")
    yield Case("tamper.sec.", "MX", "B", "tampered")
    yield Case("mx1.tamper.sec.", "A", "B", "tampered")
    yield Case("_25._tcp.mx1.tamper.sec.", "TLSA", "B", "tampered")
    yield Case("mx2.tamper.sec.", "A", "S+", "untouched")
    yield Case("_25._tcp.mx2.tamper.sec.", "TLSA", "Snx", "untouched")
    yield Case("nosig.sec.", "MX", "B", "signature missing")
    yield Case("mx1.nosig.sec.", "A", "S+", "untouched")
    yield Case("_25._tcp.mx1.nosig.sec.", "TLSA", "B", "signature missing")
    yield Case("_25._tcp.mx2.nosig.sec.", "TLSA", "B", "NSEC missing")
    yield Case("_25._tcp.mx3.nosig.sec.", "TLSA", "B", "NSEC missing")
    yield Case("lame.sec.", "MX", "F", "the server refuses")
    yield Case("dead.sec.", "MX", "F", "no server there")
    yield Case("mx1.tlsasf.sec.", "A", "S+")
    yield Case("_25._tcp.mx1.tlsasf.sec.", "TLSA", "F", "TLSA alone fails")


def other_top_levels():
    for zone, security in (("good.n3", "S"), ("ins.n3", "I"), ("good.oo", "S"), ("ins.oo", "I"), ("ins.uns", "I")):
        yield from five(zone, security)
    yield from five("island.uns", "I")
    yield Case("nxd.sec.", "MX", "Snx", "no such domain, NSEC")
    yield Case("nxd.n3.", "MX", "Snx", "no such domain, NSEC3")
    yield Case("nxd.oo.", "MX", "Inx", "no such domain, opted out")
    yield Case("nxd.uns.", "MX", "Inx", "no such domain, unsigned")
    yield Case("nxd.nxtld.", "MX", "Snx", "no such top-level domain")


def wildcards():
    for zone, security in (("good.sec", "S"), ("n3good.sec", "S"), ("ins.sec", "I"), ("ed.sec", "S")):
        yield Case(f"_25._tcp.mxw.{zone}.", "TLSA", security + "+", "wildcard TLSA one label deep")
    for zone in ("wcapex.sec", "wcapex3.sec"):
        for label in ("foo", "b", "zz", "0", "x.y"):
            yield Case(f"{label}.{zone}.", "MX", "S+", "wildcard at the apex")
        yield Case(f"foo.{zone}.", "TLSA", "Snd", "wildcard at the apex without the type")
        yield Case(f"_25._tcp.foo.{zone}.", "TLSA", "Snd", "wildcard at the apex without the type")
        yield Case(f"a.{zone}.", "MX", "Snd", "a name that the wildcard does not stand for")


def cases():
    """All of them."""
    groups = (good_zones, insecure_zones, broken_zones, other_top_levels, wildcards)
    return [case for group in groups for case in group()]
