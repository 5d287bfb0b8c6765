"""Zone files, keys, signatures, and what is spoiled afterwards.

Children come before their parents, which have to hold the digests of their keys (DS records).
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import dns.zone

from lab import run

# Names of dnssec-keygen.
ALGORITHMS = {
    7: "NSEC3RSASHA1",
    8: "RSASHA256",
    10: "RSASHA512",
    13: "ECDSAP256SHA256",
    14: "ECDSAP384SHA384",
    15: "ED25519",
    16: "ED448",
}
UNKNOWN_ALGORITHM = UNKNOWN_DIGEST = 200
# dnssec-signzone takes no more iterations; ldns-signzone does.
MANY_ITERATIONS = 100
TTL = 60


class Signer:
    """Makes the files of all zones in a directory."""

    def __init__(self, zones, directory):
        self.zones = zones
        self.directory = directory
        self.now = int(time.time())

    def make_all(self):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.make_keys, [zone for zone in self.zones.values() if zone.is_signed]))
            for depth in (3, 2, 1, 0):
                list(pool.map(self.make, [zone for zone in self.zones.values() if zone.served and labels(zone) == depth]))

    def file(self, zone):
        return self.directory / f"{zone.name or 'root'}.zone"

    def make_keys(self, zone):
        roles = [True] if zone.one_key else [True, False]
        zone.keys = [(self.make_key(zone, signs_keys), signs_keys) for signs_keys in roles]

    def make_key(self, zone, signs_keys):
        command = ["dnssec-keygen", "-q", "-K", self.directory, "-a", ALGORITHMS[zone.algorithm], "-n", "ZONE"]
        if zone.algorithm < 13:
            command += ["-b", "2048" if signs_keys else str(zone.key_size)]
        if signs_keys:
            command += ["-f", "KSK"]
        return run([*command, zone.origin]).strip()

    def make(self, zone):
        file = self.file(zone)
        file.write_text(self.text(zone))
        if zone.is_signed:
            self.sign(zone, file)
        if zone.spoiled:
            spoil(zone, file, {tag(key): tag(unknown(key)) for key in self.public_keys(zone)})

    def text(self, zone):
        lines = [f"$ORIGIN {zone.origin}", f"$TTL {TTL}", f"@ SOA ns hostmaster 1 3600 600 86400 {TTL}", "@ NS ns"]
        lines += [f"ns A {zone.server}", zone.records]
        for child in zone.children:
            lines += [f"{child.origin} NS ns.{child.origin}", f"ns.{child.origin} A {child.server}"]
            lines += [f"{child.origin} DS {ds}" for ds in self.delegation(child)]
        for base, _ in zone.keys:
            lines.append((self.directory / f"{base}.key").read_text())
        return "\n".join(lines) + "\n"

    def sign(self, zone, file):
        signed = file.with_suffix(".signed")
        first, last = (self.now + offset for offset in zone.valid)
        keys = [self.directory / base for base, _ in zone.keys]
        if zone.iterations > MANY_ITERATIONS:
            command = ["ldns-signzone", "-n", "-t", zone.iterations, "-i", stamp(first), "-e", stamp(last)]
            run([*command, "-o", zone.origin, "-f", signed, file, *keys])
        else:
            command = ["dnssec-signzone", "-q", "-P", "-d", self.directory, "-K", self.directory, "-o", zone.origin]
            command += ["-s", stamp(first), "-e", stamp(last), "-z" if zone.one_key else "-x", "-f", signed]
            if zone.denial == "nsec3":
                command += ["-3", "-", "-H", zone.iterations, *(["-A"] if zone.opt_out else [])]
            run([*command, file])
        signed.replace(file)

    def public_keys(self, zone, only_signing_keys=False):
        for base, signs_keys in zone.keys:
            if signs_keys or not only_signing_keys:
                text = (self.directory / f"{base}.key").read_text()
                record = next(line for line in text.splitlines() if not line.startswith(";"))
                yield dns.rdata.from_text("IN", "DNSKEY", record.partition(" DNSKEY ")[2])

    def delegation(self, zone):
        """What the parent says of the keys of a zone."""
        if zone.ds == "none":
            return []
        if zone.ds == "invented":
            return ["4711 13 2 " + "ab" * 32]
        key = next(self.public_keys(zone, only_signing_keys=True))
        if zone.spoiled == "unknown-algorithm":
            key = unknown(key)
        number, algorithm = tag(key), int(key.algorithm)
        right = f"{number} {algorithm} 2 {digest(zone, key, hashlib.sha256)}"
        return {
            "sha256": [right],
            "sha1": [f"{number} {algorithm} 1 {digest(zone, key, hashlib.sha1)}"],
            "sha384": [f"{number} {algorithm} 4 {digest(zone, key, hashlib.sha384)}"],
            "wrong": [f"{number} {algorithm} 2 " + "cd" * 32],
            "unknown-digest": [f"{number} {algorithm} {UNKNOWN_DIGEST} {digest(zone, key, hashlib.sha256)}"],
            "mixed": [f"1234 {UNKNOWN_ALGORITHM} 2 " + "ef" * 32, right],
        }[zone.ds]

    def anchor(self):
        """The key that everything else hangs on, as a record."""
        key = next(self.public_keys(self.zones[""], only_signing_keys=True))
        return f". 86400 IN DNSKEY {key.to_text()}\n"


def labels(zone):
    return len(zone.name.split(".")) if zone.name else 0


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))


def tag(key):
    return dns.dnssec.key_id(key)


def unknown(key):
    return key.replace(algorithm=UNKNOWN_ALGORITHM)


def digest(zone, key, algorithm):
    """RFC 4034 section 5.1.4: of the owner's name and the key."""
    return algorithm(dns.name.from_text(zone.origin).canonicalize().to_wire() + key.to_wire()).hexdigest()


def spoil(zone, file, tags):
    """Rewrites a signed zone record by record; `tags` are those of its keys, old to new."""
    rewrite = {"tampered": tamper, "unsigned-records": strip, "unknown-algorithm": disguise}[zone.spoiled]
    parsed = dns.zone.from_file(str(file), origin=zone.origin, relativize=False, check_origin=False)
    lines = []
    for name, rdataset in parsed.iterate_rdatasets():
        for rdata in rdataset:
            kind = dns.rdatatype.to_text(rdata.rdtype)
            text = rewrite(zone, name.to_text(), kind, rdata, tags)
            if text is not None:
                lines.append(f"{name} {rdataset.ttl} IN {kind} {text}")
    file.write_text("\n".join(lines) + "\n")


def tamper(zone, name, kind, rdata, _tags):
    """Some records change, their signatures do not."""
    if (name, kind) == (f"mx1.{zone.origin}", "A"):
        return "127.53.66.66"
    if (name, kind) == (f"_25._tcp.mx1.{zone.origin}", "TLSA"):
        return "3 1 1 " + "66" * 32
    if (name, kind) == (zone.origin, "MX") and rdata.preference == 10:
        return f"10 evil.{zone.origin}"
    return rdata.to_text()


def strip(_zone, _name, kind, rdata, _tags):
    """Without the signatures of some types, and without any proof of absence."""
    covered = dns.rdatatype.to_text(rdata.type_covered) if kind == "RRSIG" else None
    return None if kind == "NSEC" or covered in ("MX", "TLSA", "NSEC") else rdata.to_text()


def disguise(_zone, _name, kind, rdata, tags):
    """Keys and signatures claim an algorithm that nobody knows."""
    if kind == "DNSKEY":
        rdata = unknown(rdata)
    if kind == "RRSIG":
        rdata = rdata.replace(algorithm=UNKNOWN_ALGORITHM, key_tag=tags[rdata.key_tag])
    return rdata.to_text()
