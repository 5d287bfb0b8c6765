"""Real Postfix asks waxseal's policy table, and then delivers or keeps the mail.

`run` beside this file starts it, in network and mount namespaces of its own. `questions.py` has the cases; DNS and MX hosts
are those of the DANE lab (`../dane`), the web server of the policies that of the MTA-STS lab (`../mta_sts`).
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys

from dane import zones
from dane.hosts import Authorities, Host, Internet
from lab import Lab, LabError, Process, listening, print_logs, run, wait_until
from mta_sts import web
from questions import CASES, NO_DOMAINS, PLAINTEXT, Kept, Sent
from sending import PATIENCE, FollowedMta

GATE = "127.54.0.20"
POSTFIX = "127.54.0.10"
TABLE = f"socketmap:inet:{GATE}:8461:waxseal"

CONFIG = """\
hostname = "gate.test"
policies = "policies"

[[listener]]
kind = "socketmap"
listen = "{gate}:8461"
tlsrpt = {tlsrpt}

[admin]
listen = "{gate}:9825"

[store]
path = "waxseal.db"

[dns]
servers = ["{resolver}:53"]
dnssec = "trust-ad"
timeout = "2s"

[mx]
allow_networks = ["127.0.0.0/8"]

[tls]
roots = "none"
ca_files = ["{root}"]
"""

SENDING = """\
smtp_tls_policy_maps = {table}
smtp_tls_security_level = may
smtp_dns_support_level = dnssec
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_fingerprint_digest = sha256
smtp_tls_CAfile = {root}
smtp_tls_loglevel = 1
smtp_connection_cache_on_demand = no
"""


def takes_attributes():
    """Is this Postfix new enough for `tlsrpt = true`?"""
    version = run(["postconf", "-h", "-d", "mail_version"])
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= (3, 10)


def recipient(domain):
    return f"ottokar@{domain}"


class Postfix(FollowedMta):
    """A Postfix that delivers by itself, and asks the table how."""

    def __init__(self, lab, root):
        main = SENDING.format(table=TABLE, root=root)
        super().__init__(lab, "sender", main, POSTFIX)

    def look_up(self, key):
        """What `postmap -q` prints: the policy, nothing, or the word of the failure."""
        done = subprocess.run(["postmap", "-c", self.config, "-q", key, TABLE], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)
        failure = re.search(r"socketmap server (temporary|permanent) error", done.stderr)
        if failure:
            return {"temporary": "TEMP", "permanent": "PERM"}[failure[1]], done.stderr
        if done.returncode not in (0, 1):
            raise LabError(f"postmap -q {key}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout.strip(), done.stderr


class Row:
    """A case in the lab: its names, its hosts, what was heard and what became of it."""

    def __init__(self, case, number):
        self.case = case
        self.domain = f"{case.name}.{case.zone}.test"
        self.hosts = [
            Host(2 * number + at, set(mx.shows.split()), mx.named or self.host_name(at)) for at, mx in enumerate(case.mx)
        ]

    def host_name(self, at):
        return f"mx{at + 1}.{self.domain}"

    def put_into(self, lab_zones):
        for at, (host, mx) in enumerate(zip(self.hosts, self.case.mx)):
            name = f"{self.host_name(at)}."
            lab_zones.add(f"{self.domain}.", "MX", f"{10 * (at + 1)} {name}")
            lab_zones.add(name, "A", host.address)
            if mx.tlsa:
                data = host.certificate.tlsa("1", "1") if mx.tlsa == "own" else "00" * 32
                lab_zones.add(f"_25._tcp.{name}", "TLSA", f"3 1 1 {data}")
        if self.case.policy:
            lab_zones.add(f"_mta-sts.{self.domain}.", "TXT", '"v=STSv1; id=1;"')
            lab_zones.add(f"mta-sts.{self.domain}.", "A", web.ADDRESS)
        if self.case.lame:
            lab_zones.add(f"{self.case.lame}.{self.domain}.", "NS", "ns3.test.")

    def fill(self, text, root):
        """The text with the names of this lab."""
        certificate = self.hosts[0].certificate
        digest = certificate.tlsa("0", "1") if certificate else ""
        colons = ":".join(digest[at:at + 2].upper() for at in range(0, len(digest), 2))
        names = {"{domain}": self.domain, "{mx1}": self.host_name(0), "{mx2}": self.host_name(1),
                 "{print1}": digest, "{colons1}": colons, "{root}": str(root)}
        for word, value in names.items():
            text = text.replace(word, value)
        return text

    def expected(self, root, attributes):
        """The answer that Postfix must hear; `attributes`: also what TLS reports need."""
        answer = self.fill(self.case.answer, root)
        mode, host = self.case.policy or ("", "")
        if not attributes or mode != "enforce" or not answer.startswith("secure "):
            return answer
        host = self.fill(host, root)
        strings = ("version: STSv1", f"mode: {mode}", f"mx: {host}", "max_age: 86400")
        described = " ".join(f"{{ policy_string = {string} }}" for string in strings)
        return f"{answer} policy_type=sts policy_domain={self.domain} {described} mx_host_pattern={host}"

    def judge(self, attempt):
        """What is wrong with what became of the message."""
        how = attempt.shaken.partition(" ")[0] or PLAINTEXT
        expected = self.case.fate
        if isinstance(expected, Sent) and (attempt.status, how) != ("sent", expected.how):
            yield f"{how}: {attempt.told}, expected: {expected}"
        if isinstance(expected, Kept) and not (attempt.status == "deferred" and re.search(expected.reason, attempt.told)):
            yield f"{how}: {attempt.told}, expected: {expected}"


class Experiment:
    """waxseal, Postfix, and the internet around them."""

    def __init__(self, lab, binary, cases):
        self._lab = lab
        self._binary = binary
        self.rows = [Row(case, CASES.index(case)) for case in cases]
        self._config = lab.dir / "waxseal.toml"
        self._attributes = takes_attributes()

    def prepare(self):
        run(["ip", "link", "set", "lo", "up"])
        authorities = Authorities(self._lab.dir / "certificates")
        self._root = authorities.root.file
        for row in self.rows:
            for host in row.hosts:
                host.certify(authorities)
        self._resolve()
        self._publish(authorities)
        self._configure()
        self._waxseal = Process(self._lab, "waxseal-daemon", [self._binary, "run", "--config", self._config])
        wait_until("waxseal", lambda: listening(GATE, 8461), 30, self._waxseal.running)
        Internet(self._lab, [host for row in self.rows for host in row.hosts], tls=True).start()
        self.postfix = Postfix(self._lab, self._root)
        self.postfix.start()

    def _resolve(self):
        lab_zones = zones.Zones(self._lab)
        for row in self.rows:
            row.put_into(lab_zones)
        lab_zones.write()
        zones.Servers(self._lab, lab_zones)
        zones.resolve_here(self._lab)

    def _publish(self, authorities):
        server = web.WebServer(self._lab)
        for row in self.rows:
            if row.case.policy:
                mode, host = row.case.policy
                policy = f"version: STSv1\nmode: {mode}\nmx: {row.fill(host, self._root)}\nmax_age: 86400\n"
                name = f"mta-sts.{row.domain}"
                _, chain = authorities.chain(f"web-{name}", name, set())
                server.put(name, web.Web(), policy.encode(), chain)
        server.start()

    def _configure(self):
        rules = [f"[[rule]]\ndomains = ['{row.domain}']\n{row.fill(row.case.rule, self._root)}\n"
                 for row in self.rows if row.case.rule]
        (self._lab.dir / "policies").mkdir()
        (self._lab.dir / "policies/00-lab.toml").write_text("\n".join(rules))
        tlsrpt = str(self._attributes).lower()
        config = CONFIG.format(gate=GATE, resolver=zones.RESOLVER, root=self._root, tlsrpt=tlsrpt)
        self._config.write_text(config)

    def heard(self, row):
        """What Postfix hears, and what `waxseal query` says that it does."""
        expected = row.expected(self._root, self._attributes)
        answer, told = self.postfix.look_up(row.domain)
        if answer != expected:
            yield f"Postfix hears {answer!r}, expected {expected!r} {told}"
        query = subprocess.run([self._binary, "query", row.domain, "--json", "--config", self._config],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        said = json.loads(query.stdout)
        by_query = {"ok": said["policy"], "notfound": ""}.get(said["result"], said["result"].upper())
        if by_query != answer:
            yield f"waxseal query says {by_query!r}, Postfix hears {answer!r}"

    def keys_without_answer(self):
        for key in NO_DOMAINS:
            answer, told = self.postfix.look_up(key)
            if answer:
                yield f"{key}: {answer!r} {told}"

    def stops(self):
        """Without waxseal the mail waits, and nothing leaves unasked."""
        code = self._waxseal.stop(patience=40)
        if code != 0:
            yield f"exit code {code} after SIGTERM (negative: the signal that ended it)"
        answer, told = self.postfix.look_up("gone.open.test")
        if answer or "lookup error" not in told:
            yield f"Postfix hears {answer!r} from nobody {told}"

    def log(self):
        return self._waxseal.log.read_text(errors="replace")


class Report:
    """One line a check."""

    def __init__(self):
        self.failed = self.passed = 0

    def tell(self, name, complaints):
        complaints = list(complaints)
        print(f"{'FAILED' if complaints else 'ok'} {name}", *complaints, sep="\n    ", flush=True)
        self.failed += bool(complaints)
        self.passed += not complaints


def examine(experiment, report):
    heard = {row: list(experiment.heard(row)) for row in experiment.rows}
    attempts = experiment.postfix.attempts([recipient(row.domain) for row in experiment.rows])
    for row in experiment.rows:
        report.tell(row.case.name, [*heard[row], *row.judge(attempts[recipient(row.domain)])])
    report.tell("no-domains", experiment.keys_without_answer())
    report.tell("log-names-nobody", ["the log mentions a mailbox"] if "ottokar" in experiment.log() else [])
    report.tell("stops-when-told", experiment.stops())


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/socketmap/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def main():
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    lab, report = Lab(options.keep), Report()
    cases = [case for case in CASES if not options.case or case.name in options.case]
    try:
        experiment = Experiment(lab, os.path.abspath(os.environ["WAXSEAL"]), cases)
        experiment.prepare()
        examine(experiment, report)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        report.tell("lab", [str(error)])
    finally:
        if report.failed:
            print_logs(lab)
        lab.close()
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
