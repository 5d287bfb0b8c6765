"""The name servers: three NSD for the floors of the tree, and two unbound as resolvers, of which one validates."""

import shutil

from lab import Process, wait_until
from zones import ROOT, SLD, TLD

VALIDATING, PLAIN = "127.53.9.1", "127.53.9.2"
PORT = 53  # a delegation names no port

NSD = """\
server:
    ip-address: {address}
    port: {port}
    server-count: 1
    username: ""
    chroot: ""
    pidfile: "{directory}/nsd-{address}.pid"
    database: ""
    zonesdir: "{directory}"
    xfrdfile: ""
    xfrdir: "{directory}"
    zonelistfile: "{directory}/nsd-{address}.list"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
{zones}
"""

UNBOUND = """\
server:
    interface: {address}
    port: {port}
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-daemonize: no
    do-not-query-localhost: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    num-threads: 1
    root-hints: "{directory}/root.hints"
    module-config: "{modules}"
    {anchor}
    # As it comes by default: asks each server for no more than it has to know.
    qname-minimisation: yes
    minimal-responses: yes
    aggressive-nsec: no
    infra-cache-min-rtt: 20
    ede: yes
remote-control:
    control-enable: no
"""


def unconfined(lab, program):
    """AppArmor confines these programs by their path, away from temporary directories; a copy is not confined."""
    copy = lab.dir / f"copy-of-{program}"
    if not copy.exists():
        shutil.copy(shutil.which(program, path="/usr/sbin:/usr/bin"), copy)
    return copy


def start_authoritative(lab, signer):
    for address in (ROOT, TLD, SLD):
        # What an attacker rewrites is at home at the server behind him.
        zones = [zone for zone in signer.zones.values() if zone.served and home(zone) == address]
        listed = [f'zone:\n    name: "{zone.origin}"\n    zonefile: "{signer.file(zone).name}"' for zone in zones]
        config = lab.dir / f"nsd-{address}.conf"
        config.write_text(
            NSD.format(address=address, port=PORT, directory=lab.dir, zones="\n".join(listed)),
        )
        process = Process(lab, f"nsd-server-{address}", [unconfined(lab, "nsd"), "-d", "-c", config])
        answers(address, process)


def home(zone):
    return zone.server if zone.server in (ROOT, TLD) else SLD


def start_resolvers(lab):
    (lab.dir / "root.hints").write_text(f". 3600000 NS ns.\nns. 3600000 A {ROOT}\n")
    anchor = f'trust-anchor-file: "{lab.dir}/anchor.zone"'
    for address, modules, anchor in ((VALIDATING, "validator iterator", anchor), (PLAIN, "iterator", "")):
        config = lab.dir / f"unbound-{address}.conf"
        config.write_text(
            UNBOUND.format(address=address, port=PORT, directory=lab.dir, modules=modules, anchor=anchor),
        )
        process = Process(lab, f"unbound-server-{address}", [unconfined(lab, "unbound"), "-d", "-p", "-c", config])
        answers(address, process)


def answers(address, process):
    """Waits until a server answers."""
    from upstreams import ask

    def ready():
        try:
            return ask(address, ".", "SOA", timeout=1)
        except Exception:
            return None

    wait_until(f"the name server at {address}", ready, 20, process.running)
