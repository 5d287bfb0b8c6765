"""The DNS of the lab: a signed root, `test`, and zones below it, on four NSDs; unbound resolves and validates."""

import shutil
from pathlib import Path

from lab import Process, listening, run, wait_until

RESOLVER = "127.54.0.53"
ROOT, TEST, CHILDREN, LAME = (f"127.54.0.{number}" for number in (1, 2, 3, 4))

# Zones below `test`. A name in a case that ends in one of these words is a name in that zone.
SIGNED = "signed"
HASHED = "hashed"  # signed, its denials are hashed (NSEC3)
OPEN = "open"  # not signed
BROKEN = "broken"  # signed, with a key that `test` does not know: everything is bogus
SILENT = "lame"  # delegated to a name server that does not serve it
CHILD_ZONES = (SIGNED, HASHED, OPEN, BROKEN)
ZONE_WORDS = (*CHILD_ZONES, SILENT)

NSD = """\
server:
    ip-address: {address}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{directory}"
    database: ""
    pidfile: "{directory}/pid"
    xfrdfile: "{directory}/xfrd.state"
    zonelistfile: "{directory}/zone.list"
    xfrdir: "{directory}"
remote-control:
    control-enable: no
"""

UNBOUND = """\
server:
    interface: {address}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-ip6: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    num-threads: 1
    module-config: "validator iterator"
    root-hints: "{directory}/root.hints"
    trust-anchor-file: "{anchor}"
    trust-anchor-signaling: no
    do-not-query-localhost: no
    # Not the special name of RFC 6761 here.
    local-zone: "test." nodefault
    val-log-level: 2
remote-control:
    control-enable: no
"""


def head(name_server):
    """The records at the top of every zone."""
    return ["@ 60 IN SOA . . 1 3600 600 86400 60", f"@ 60 IN NS {name_server}."]


class Key:
    """A key of a zone: one that signs everything."""

    def __init__(self, directory, zone):
        base = run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone or "."], cwd=directory).strip()
        self.base = directory / base
        self.public = Path(f"{self.base}.key")
        self.ds = run(["ldns-key2ds", "-n", "-f", "-2", self.public]).strip()


class Forgery:
    """A record that is put in the place of the one that was signed."""

    _SIGNED_INSTEAD = {"A": "192.0.2.1", "MX": "99 nowhere.test.", "TLSA": f"3 1 1 {'00' * 32}"}

    def __init__(self, owner, kind, data):
        self.owner, self.kind, self.data = owner, kind, data

    def signed_instead(self):
        return f"{self.owner} 60 IN {self.kind} {self._SIGNED_INSTEAD[self.kind]}"

    def put(self, line):
        """The line of the signed zone, forged if it is the one."""
        words = line.split()
        if words[:1] == [self.owner] and words[3] == self.kind:
            return f"{self.owner} 60 IN {self.kind} {self.data}"
        return line


class Zones:
    """All zones, written and signed."""

    def __init__(self, lab):
        self._directory = lab.dir / "zones"
        self._directory.mkdir()
        self._records = {word: [] for word in CHILD_ZONES}
        self._forgeries = []
        self.anchor = self._directory / "anchor.key"

    def add(self, owner, kind, data):
        self._records[self._zone_of(owner)].append(f"{owner} 60 IN {kind} {data}")

    def forge(self, owner, kind, data):
        """The record is there, and its signature is wrong."""
        forgery = Forgery(owner, kind, data)
        self._forgeries.append(forgery)
        self._records[self._zone_of(owner)].append(forgery.signed_instead())

    @staticmethod
    def _zone_of(name):
        return name.split(".")[-3]

    def write(self):
        """Writes the zone files, from the leaves to the root."""
        parent = [*head("ns1.test"), f"ns1 60 IN A {TEST}", f"ns2 60 IN A {CHILDREN}", f"ns3 60 IN A {LAME}"]
        parent.append(f"{SILENT} 60 IN NS ns3.test.")
        for word in CHILD_ZONES:
            zone = f"{word}.test"
            parent.append(f"{word} 60 IN NS ns2.test.")
            records = [*head("ns2.test"), *self._records[word]]
            if word == OPEN:
                self._write(zone, records)
            else:
                key = self._sign(zone, records, hashed=word == HASHED)
                known = Key(self._directory, zone) if word == BROKEN else key
                parent.append(known.ds)
        test = self._sign("test", parent)
        root = [*head("ns0"), f"ns0. 60 IN A {ROOT}", "test. 60 IN NS ns1.test.", f"ns1.test. 60 IN A {TEST}", test.ds]
        self.anchor.write_text(self._sign("", root).public.read_text())

    def file(self, zone):
        return self._directory / f"{zone or 'root'}.zone"

    def _write(self, zone, records):
        self.file(zone).write_text("\n".join([f"$ORIGIN {zone}.", *records, ""]))

    def _sign(self, zone, records, hashed=False):
        key = Key(self._directory, zone)
        self._write(zone, records)
        nsec3 = ["-n", "-t", "0"] if hashed else []
        run(["ldns-signzone", *nsec3, "-o", f"{zone}.", "-f", f"{self.file(zone)}.signed", self.file(zone), key.base])
        signed = Path(f"{self.file(zone)}.signed").read_text().splitlines()
        for forgery in self._forgeries:
            signed = [forgery.put(line) for line in signed]
        self.file(zone).write_text("\n".join([*signed, ""]))
        return key


def unconfined(lab, command):
    """AppArmor confines name servers by their path, away from temporary directories; a copy is not confined."""
    copy = lab.dir / command
    if not copy.exists():
        shutil.copy(shutil.which(command), copy)
    return copy


def start(lab, zones):
    """Starts the name servers and the resolver."""
    served = {ROOT: [""], TEST: ["test"], CHILDREN: [f"{word}.test" for word in CHILD_ZONES], LAME: []}
    servers = [start_nsd(lab, address, zones, names) for address, names in served.items()]
    directory = lab.dir / "unbound-files"
    directory.mkdir()
    (directory / "root.hints").write_text(f". 60 IN NS ns0.\nns0. 60 IN A {ROOT}\n")
    config = directory / "unbound.conf"
    config.write_text(UNBOUND.format(address=RESOLVER, directory=directory, anchor=zones.anchor))
    resolver = Process(lab, "unbound-server", [unconfined(lab, "unbound"), "-d", "-p", "-c", config])
    for address, server in zip(served, servers):
        wait_until(server.name, lambda address=address: listening(address, 53), 20, server.running)
    wait_until("unbound", lambda: listening(RESOLVER, 53), 20, resolver.running)


def start_nsd(lab, address, zones, names):
    directory = lab.dir / f"nsd-{address}"
    directory.mkdir()
    config = directory / "nsd.conf"
    listed = "".join(f'zone:\n    name: "{name}."\n    zonefile: "{zones.file(name)}"\n' for name in names)
    config.write_text(NSD.format(address=address, directory=directory) + listed)
    return Process(lab, f"nsd-{address}", [unconfined(lab, "nsd"), "-d", "-c", config])
