"""The name server of the lab: an unbound that knows the test domains and nothing else."""

import shutil

from internet import DEAD, DOMAINS, GATE, MX_RECORDS, MXS, mx_records
from lab import Process, listening, wait_until

CONFIG = """\
server:
    interface: {address}@{port}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    use-syslog: no
    logfile: ""
    log-queries: yes
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    num-threads: 1
    # Answers come from local data alone: what is not listed below does not exist, and no query leaves.
    module-config: "iterator"
    local-zone: "." static
{records}
remote-control:
    control-enable: no
"""


def records():
    """The zone, record by record."""
    yield ". 60 SOA a.root. hostmaster.root. 1 60 60 60 60"
    for domain in sorted(DOMAINS | MX_RECORDS):
        for mx in mx_records(domain):
            yield f"{domain}. 60 MX {mx}"
    for mx in MXS:
        yield f"{mx.host}. 60 A {mx.address}"
    for number, address in enumerate(DEAD, start=1):
        yield f"mx-dead{number}.example. 60 A {address}"


def start(lab, port):
    """Starts unbound on GATE:port."""
    # AppArmor confines unbound by its path, away from temporary directories; a copy is not confined.
    binary = lab.dir / "unbound"
    shutil.copy(shutil.which("unbound"), binary)
    config = lab.dir / "unbound.conf"
    data = "\n".join(f"    local-data: '{record}'" for record in records())
    config.write_text(CONFIG.format(address=GATE, port=port, directory=lab.dir, records=data))
    process = Process(lab, "unbound-server", [binary, "-d", "-p", "-c", config])
    wait_until("unbound", lambda: listening(GATE, port), 20, process.running)
    return process
