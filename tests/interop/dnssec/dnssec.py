"""Runs waxseal's resolver against real name servers: every case, every attack, every odd server.

`run` beside this file starts it. `zones.py` describes the tree, `cases.py` what is true of it, `upstreams.py` the odd
servers and the attackers. Before waxseal is asked, the validating unbound is: it has to agree with the truth in every
case, or the lab itself is wrong.
"""

import argparse
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# At the end, because the folder above has a module of its own named dns.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

import servers
import upstreams
from cases import cases
from lab import Lab, LabError
from signing import Signer
from zones import tree

SERVERS = {
    "validating": servers.VALIDATING,
    "plain": servers.PLAIN,
    "stripping": upstreams.STRIPPING,
    "no-edns": upstreams.NO_EDNS,
    "attacker": upstreams.ATTACKER,
    "ad-only": upstreams.AD_ONLY,
    "one-hop": upstreams.ONE_HOP,
}


def build(lab):
    signer = Signer(tree(), lab.dir)
    signer.make_all()
    (lab.dir / "anchor.zone").write_text(signer.anchor())
    upstreams.start(servers.PORT)
    servers.start_authoritative(lab, signer)
    servers.start_resolvers(lab)


def describe(lab):
    """For the tests: tab-separated lines."""
    write_lines(lab, "servers.tsv", [(name, f"{address}:{servers.PORT}") for name, address in SERVERS.items()])
    write_lines(lab, "cases.tsv", [(n, c.name, c.kind, c.truth, c.note) for n, c in enumerate(cases(), 1)])
    forged = [(name, kind, "attacker", forge.__doc__) for (name, kind), forge in upstreams.ATTACKS.items()]
    forged.append(("_25._tcp.mx1.mitm.sec.", "TLSA", "plain", upstreams.tampering.__doc__))
    write_lines(lab, "attacks.tsv", [(number, *attack) for number, attack in enumerate(forged, 1)])


def write_lines(lab, file, rows):
    (lab.dir / file).write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def unbound_says(case):
    query = dns.message.make_query(case.name, case.kind, want_dnssec=True, payload=1232)
    try:
        response = upstreams.forward(servers.VALIDATING, query, timeout=15)
    except dns.exception.Timeout:  # of a name server that is not there
        return "failure"
    code = response.rcode()
    if code == dns.rcode.SERVFAIL:
        return "failure"
    security = "S" if response.flags & dns.flags.AD else "I"
    if code == dns.rcode.NXDOMAIN:
        return security + "nx"
    wanted = dns.rdatatype.from_text(case.kind)
    return security + ("+" if any(rrset.rdtype == wanted for rrset in response.answer) else "nd")


def check_the_lab():
    """Asks unbound for every case; what differs from the truth is wrong in the lab."""
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(unbound_says, cases()))
    wrong = [
        f"{case.name} {case.kind}: unbound says {said}, {case.truth} is true ({case.note})"
        for case, said in zip(cases(), told)
        if said != ("failure" if case.truth in "BF" else case.truth)
    ]
    if wrong:
        raise LabError("\n".join(["unbound and the truth differ:", *wrong]))
    print(f"unbound agrees with the truth in all of {len(told)} cases", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/dnssec/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", action="store_true", help="only bring the lab up, until it is interrupted")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(options.keep)
    try:
        build(lab)
        describe(lab)
        if options.serve:
            print(f"WAXSEAL_DNSSEC_LAB={lab.dir} cargo test --test dnssec_lab -- --ignored", flush=True)
            signal.pause()
        check_the_lab()
        command = ["cargo", "test", "--test", "dnssec_lab", "--", "--ignored"]
        return subprocess.run(command, env={**os.environ, "WAXSEAL_DNSSEC_LAB": str(lab.dir)}).returncode
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"the lab is broken: {error}", file=sys.stderr)
        return 2
    finally:
        lab.close()


if __name__ == "__main__":
    sys.exit(main())
