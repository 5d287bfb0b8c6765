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
    # All questions come from one resolver, which is no attacker.
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
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
    log-servfail: yes
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

    def add(self, owner, kind, data, ttl=60):
        self._records[self._zone_of(owner)].append(f"{owner} {ttl} IN {kind} {data}")

    def forge(self, owner, kind, data):
        """The record is there, and its signature is wrong."""
        forgery = Forgery(owner, kind, data)
        self._forgeries.append(forgery)
        self._records[self._zone_of(owner)].append(forgery.signed_instead())

    def withdraw(self, name):
        """Takes back the records of a name in `open`, and of all names below it."""
        def stays(record):
            return not f".{record.split()[0]}".endswith(f".{name}.{OPEN}.test.")

        self._records[OPEN] = list(filter(stays, self._records[OPEN]))

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
                self.write_open()
            else:
                key = self._sign(zone, records, hashed=word == HASHED)
                known = Key(self._directory, zone) if word == BROKEN else key
                parent.append(known.ds)
        test = self._sign("test", parent)
        root = [*head("ns0"), f"ns0. 60 IN A {ROOT}", "test. 60 IN NS ns1.test.", f"ns1.test. 60 IN A {TEST}", test.ds]
        self.anchor.write_text(self._sign("", root).public.read_text())

    def write_open(self):
        """Writes the zone that is not signed, also once more."""
        self._write(f"{OPEN}.test", [*head("ns2.test"), *self._records[OPEN]])

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


def resolve_here(lab):
    """Makes the resolver that of every program. Only for a mount namespace of one's own."""
    resolv_conf = lab.dir / "resolv.conf"
    resolv_conf.write_text(f"nameserver {RESOLVER}\noptions trust-ad edns0\n")
    run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"])


def unconfined(lab, command):
    """AppArmor confines name servers by their path, away from temporary directories; a copy is not confined."""
    copy = lab.dir / command
    if not copy.exists():
        shutil.copy(shutil.which(command), copy)
    return copy


class Servers:
    """The name servers and the resolver."""

    def __init__(self, lab, zones):
        self._lab, self._zones = lab, zones
        for address, names in ((ROOT, [""]), (TEST, ["test"]), (LAME, [])):
            self._start_nsd(address, names)
        self._children = self._start_children()
        self._start_unbound()

    def log(self):
        """What the resolver has to say."""
        return self._resolver.log.read_text(errors="replace")

    def publish_again(self):
        """Serves what was written since."""
        self._children.stop()
        self._children = self._start_children()

    def _start_children(self):
        return self._start_nsd(CHILDREN, [f"{word}.test" for word in CHILD_ZONES])

    def _start_nsd(self, address, names):
        directory = self._lab.dir / f"nsd-{address}"
        directory.mkdir(exist_ok=True)
        config = directory / "nsd.conf"
        listed = "".join(f'zone:\n    name: "{name}."\n    zonefile: "{self._zones.file(name)}"\n' for name in names)
        config.write_text(NSD.format(address=address, directory=directory) + listed)
        return self._started(f"nsd-{address}", [unconfined(self._lab, "nsd"), "-d", "-c", config], address)

    def _start_unbound(self):
        directory = self._lab.dir / "unbound-files"
        directory.mkdir()
        (directory / "root.hints").write_text(f". 60 IN NS ns0.\nns0. 60 IN A {ROOT}\n")
        config = directory / "unbound.conf"
        config.write_text(UNBOUND.format(address=RESOLVER, directory=directory, anchor=self._zones.anchor))
        self._resolver = self._started("unbound-server", [unconfined(self._lab, "unbound"), "-d", "-p", "-c", config], RESOLVER)

    def _started(self, name, command, address):
        server = Process(self._lab, name, command)
        wait_until(name, lambda: listening(address, 53), 20, server.running)
        return server
