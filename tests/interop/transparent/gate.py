"""waxseal on the gateway, and a judge of what it does."""

import re
from dataclasses import dataclass

import networks
from cases import QUEUED
from dane.parties import recipient
from dane.zones import RESOLVER
from lab import LabError, wait_until
from mtas import since
from mta_sts.web import ADDRESS as WEB
from waxseal import Daemon

ADMIN = "127.0.0.1:9825"
SOCKS = "127.0.0.1:1080"
SOCKS_FOR_OTHERS = f"{networks.GATEWAY}:1080"
USER, PASSWORD = "mta", "s3cret:word"

CONFIG = """\
hostname = "gate.test"
policies = "policies"

# The listeners are for both families.
{transparent}
[[listener]]
kind = "socks5"
listen = "{socks}"
bypass = {bypass}

[[listener]]
kind = "socks5"
listen = "{socks_for_others}"
allow = ["10.9.1.0/24"]
users_file = "users"
bypass = {bypass}

[admin]
listen = "{admin}"

[store]
path = ":memory:"

[dns]
servers = ["{resolver}:53"]
dnssec = "trust-ad"

[mx]
allow_networks = ["10.9.0.0/16", "fd09::/16", "{web}"]
dead_for = "0s"

[tls]
roots = "none"
ca_files = ["{ca}"]
"""

TRANSPARENT = """\
[[listener]]
kind = "transparent"
mode = "{mode}"
mta_starttls = "{starttls}"
listen = "[::]:{port}"
allow = ["10.9.0.0/16", "fd09::/16"]
bypass = {bypass}

"""

# By mode and what becomes of STARTTLS.
PORTS = {
    ("redirect", "hide"): 10026,
    ("tproxy", "hide"): 10027,
    ("redirect", "passthrough"): 10028,
    ("tproxy", "passthrough"): 10029,
    ("redirect", "terminate"): 10030,
    ("tproxy", "terminate"): 10031,
}


class Gate(Daemon):
    """The waxseal under test."""

    def __init__(self, lab, binary, ca):
        bypass = str(list(networks.BYPASS))
        listeners = (
            TRANSPARENT.format(mode=mode, starttls=starttls, port=port, bypass=bypass) for (mode, starttls), port in PORTS.items()
        )
        config = CONFIG.format(
            transparent="".join(listeners), socks=SOCKS, socks_for_others=SOCKS_FOR_OTHERS, admin=ADMIN, resolver=RESOLVER,
            web=WEB, ca=ca, bypass=bypass,
        )
        users = lab.dir / "waxseal"
        users.mkdir()
        (users / "users").write_text(f"{USER}:{PASSWORD}\n")
        super().__init__(lab, binary, "waxseal", config, admin=f"http://{ADMIN}")
        self.wait_until_ready()

    def lead(self, starttls, mode, *whose):
        """Has the firewall lead connections here, by the rules that `waxseal firewall` prints."""
        port = PORTS[mode, starttls]
        command = ["firewall", "nftables", "--by", mode, "--listen", f"0.0.0.0:{port}", "--listen", f"[::]:{port}", *whose]
        self._must(*command, "--check")
        networks.firewall(self._must(*command))

    def _must(self, *command):
        done = self.ask(*command)
        if done.returncode != 0:
            raise LabError(f"waxseal {' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def passed_through(self):
        """How many connections were passed through, by the reason."""
        return {why: self.total("waxseal_passthrough_total", f'reason="{why}"') for why in ("bypass", "starttls")}


@dataclass(frozen=True)
class Expected:
    """What is to become of a message."""

    status: str  # sent, deferred
    told: str  # to the MTA
    proof: str  # in waxseal's log
    untouched: str = ""  # why it is passed through, where it is


def as_the_case_says(row):
    case = row.case
    return Expected(case.status, case.told, case.proof, "bypass" if case.bypassed else "")


def by_an_mta_that_insists(row):
    """waxseal passes STARTTLS on, and the MTA wants it from whomever."""
    if "no-tls" in row.case.mx1:
        return Expected("deferred", "TLS is required, but was not offered", "")
    return Expected("sent", QUEUED, "", "bypass" if row.case.bypassed else "starttls")


class Judge:
    """Compares what became of messages that went one way with what should have."""

    def __init__(self, gate, internet, way, listener="transparent"):
        self._gate, self._internet, self._way, self._listener = gate, internet, way, listener
        self._start = gate.process.log.stat().st_size
        self._taken_before = internet.log.stat().st_size
        self._passed_before = gate.passed_through()
        self._untouched = []
        self._sent = set()
        self.failures = []

    def judge(self, row, fate, expected):
        status, line = fate
        wrong = []
        if status != expected.status or expected.told not in line:
            wrong.append(f"the MTA: {line}")
        if expected.untouched or not expected.told[:3].isdigit():
            wrong += [f"waxseal has seen it: {line}" for line in self._lines(row) if f" domain={row.domain} " in line]
        else:
            wrong += self._without_proof(row, expected.proof)
        if expected.status == "sent":
            self._sent.add(recipient(row.domain))
            self._untouched.append(expected.untouched)
        self._tell(row.name, wrong)

    def _lines(self, row):
        return [line for line in since(self._gate.process.log, self._start).splitlines() if row.domain in line]

    def _without_proof(self, row, proof):
        """waxseal writes its line when the MTA is gone, or after its next word."""
        def written():
            lines = self._lines(row)
            return any(f'listener="{self._listener}"' in line for line in lines) and any(proof in line for line in lines)

        try:
            wait_until(f"waxseal's log does not say {proof} by {self._listener} about {row.domain}", written, 10)
        except LabError as missing:
            return [str(missing), *self._lines(row)]
        return []

    def close(self):
        """What has arrived is what was sent, and nothing else was passed through."""
        wait_until("what has arrived", lambda: not self._internet.queue(), 20)
        log = since(self._internet.log, self._taken_before)
        taken = set(re.findall(r" postfix/discard\S+ \w+: to=<([^>]*)>, .* status=sent ", log))
        self._tell("what has arrived", [f"it differs: {sorted(taken ^ self._sent)}"] if taken != self._sent else [])
        passed = {why: count - self._passed_before[why] for why, count in self._gate.passed_through().items()}
        wanted = {why: self._untouched.count(why) for why in passed}
        self._tell("what was passed through", [f"{passed}, not {wanted}"] if passed != wanted else [])

    def _tell(self, what, wrong):
        print(f"{'FAILED' if wrong else 'ok'}  {self._way}  {what}", *wrong, sep="\n    ")
        self.failures += wrong
