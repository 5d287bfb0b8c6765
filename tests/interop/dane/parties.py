"""Those who are compared: Postfix's smtp, its posttls-finger, `waxseal check` and a running waxseal.

A verdict is one word:
  dane            delivered to a server that DANE authenticated
  encrypted       TLS is a must, whoever is on the other side
  opportunistic   nothing is a must
  blocked         not delivered
A delivery alone cannot tell `encrypted` from `opportunistic`. Every message is therefore sent twice: once as things are,
and once while no MX host offers STARTTLS. See `of_deliveries`.
"""

import json
import os
import subprocess

from dane.zones import RESOLVER
from lab import listening, wait_until
from sending import PATIENCE, FollowedMta, send
from waxseal import Daemon

DANE, ENCRYPTED, OPPORTUNISTIC, BLOCKED = "dane", "encrypted", "opportunistic", "blocked"
POSTFIX = "127.54.0.10"
GATES = {"trust-ad": "127.54.0.20", "validate": "127.54.0.21"}


def of_deliveries(sealed, plain):
    """The verdict of two deliveries: what the first one was (`dane`, `open` or `blocked`), what the second."""
    if sealed == BLOCKED:
        return BLOCKED
    if sealed == DANE:
        return DANE if plain == BLOCKED else "dane, but leaves without TLS too"
    return ENCRYPTED if plain == BLOCKED else OPPORTUNISTIC


def recipient(domain):
    return f"ottokar@{domain}"


# ---------------------------------------------------------------------------------------------------- Postfix

SENDING = """\
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
smtp_connection_cache_on_demand = no
"""


class Postfix(FollowedMta):
    """A Postfix that delivers with DANE."""

    def __init__(self, lab, name):
        super().__init__(lab, name, SENDING, POSTFIX)

    def fates(self, domains):
        """Sends a message to every domain: domain -> (word, log lines)."""
        attempts = self.attempts([recipient(domain) for domain in domains])
        return {domain: self._fate(attempts[recipient(domain)]) for domain in domains}

    @staticmethod
    def _fate(attempt):
        # No authority is trusted here, so that "Trusted" is DANE, too: Postfix says it where the MX record,
        # which is not signed, could be a lie, "Verified" where it could not.
        proven = attempt.shaken.startswith(("Verified ", "Trusted "))
        fate = BLOCKED if attempt.status != "sent" else DANE if proven else "open"
        return fate, [line for line in (attempt.shaken, attempt.told) if line]


def finger(config, domain):
    """What posttls-finger says. It delivers nothing, and where DANE does not apply it holds the server against the
    authorities that it trusts (none): of its words only the proof by DANE and the failed look-up mean something."""
    command = ["posttls-finger", "-c", "-l", "dane", "-L", "summary,certmatch", "-t", "20", "-T", "20", domain]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
        env={**os.environ, "MAIL_CONFIG": str(config)},
    )
    lines = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    # The last connection is the one that counts.
    shaken = [line for line in lines if "TLS connection established to" in line]
    if shaken:
        proven = shaken[-1].startswith(("Verified ", "Trusted "))
        return DANE if proven else "not dane", lines
    return "no TLS", lines


# ---------------------------------------------------------------------------------------------------- waxseal

CONFIG = """\
hostname = "gate.test"
policies = "policies"

[[listener]]
kind = "relay"
listen = "{address}:25"

[admin]
listen = "{address}:9825"

[store]
path = "waxseal.db"

[dns]
servers = ["{resolver}:53"]
dnssec = "{dnssec}"
trust_anchor = "{anchor}"

[mx]
allow_networks = ["127.0.0.0/8"]

[mta_sts]
enabled = false

[tls]
roots = "none"
"""


class Waxseal(Daemon):
    """A waxseal with one way to know what is signed."""

    def __init__(self, lab, binary, dnssec, anchor):
        self.address = GATES[dnssec]
        config = CONFIG.format(address=self.address, resolver=RESOLVER, dnssec=dnssec, anchor=anchor)
        super().__init__(lab, binary, f"waxseal-{dnssec}", config)

    def wait_until_ready(self):
        wait_until("waxseal", lambda: listening(self.address, 25), 30, self.process.running)

    def check(self, domain):
        """The verdict of `waxseal check --connect`, and its report."""
        done = self.ask("check", domain, "--connect", "--json", timeout=PATIENCE)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            return f"exit code {done.returncode}", [done.stdout + done.stderr]
        return self._verdict(report), [report["why"], *(line for line in map(self._told, report["connections"]) if line)]

    @staticmethod
    def _told(connection):
        records = "; ".join(f"{tlsa['record'][:22]} {tlsa['why']}" for tlsa in connection["tlsa"])
        return connection["failure"] or f"{connection['host']}: {connection['authentication']} {records}"

    @staticmethod
    def _verdict(report):
        if report["grade"] == "authenticated":
            proof = next(c["authentication"] for c in report["connections"] if c["authentication"])
            return DANE if proof == "dane" else proof
        if report["grade"] == "unauthenticated":
            reached = next(c for c in report["connections"] if c["authentication"])
            must = next(host["must"] for host in report["hosts"] if host["host"] == reached["host"])
            return ENCRYPTED if must.startswith("TLS with any certificate") else OPPORTUNISTIC
        return BLOCKED

    def fate(self, domain):
        """Sends a message to the domain: (word, reply)."""
        code, text = send(self.address, recipient(domain))
        fate = BLOCKED if code != 250 else DANE if " dane " in text.rpartition("[")[2] else "open"
        return fate, [f"{code} {text}"]
