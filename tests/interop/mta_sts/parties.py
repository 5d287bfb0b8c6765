"""Those who are compared: waxseal between two Postfixes, and a Postfix that asks postfix-mta-sts-resolver.

A verdict is one word about what became of a message, and where that matters the host that took it:
  pkix      delivered to a server that proved its name with a certificate, because it had to
  dane      delivered to a server that DANE authenticated
  open      delivered, and nothing had to be proven
  blocked   not delivered
"""

import json
import re
import socket

from dane.zones import RESOLVER
from lab import Process, listening, wait_until
from postfix import way_through_lmtp, way_through_relay
from sending import PATIENCE, FollowedMta
from waxseal import Daemon

PKIX, DANE, OPEN, BLOCKED = "pkix", "dane", "open", "blocked"
GATE = "127.54.0.20"
RELAY, LMTP = 25, 24
SENDERS = {"relay": "127.54.0.11", "lmtp": "127.54.0.12", "direct": "127.54.0.10"}
SOCKETMAP = ("127.54.0.30", 8461)


# ---------------------------------------------------------------------------------------------------- waxseal

CONFIG = """\
hostname = "gate.test"
policies = "policies"

[[listener]]
kind = "relay"
listen = "{gate}:{relay}"

[[listener]]
kind = "lmtp"
listen = "{gate}:{lmtp}"

[admin]
listen = "{gate}:9825"

[store]
path = "waxseal.db"

[dns]
servers = ["{resolver}:53"]
dnssec = "trust-ad"

[mx]
allow_networks = ["127.0.0.0/8"]

[tls]
roots = "none"
ca_files = ["{ca}"]
"""


class Waxseal(Daemon):
    """The waxseal under test."""

    def __init__(self, lab, binary, ca):
        config = CONFIG.format(gate=GATE, relay=RELAY, lmtp=LMTP, resolver=RESOLVER, ca=ca)
        super().__init__(lab, binary, "waxseal", config)

    def start(self):
        super().start()
        wait_until("waxseal", lambda: listening(GATE, RELAY), 30, self.process.running)

    def check(self, domain):
        """The verdict of `waxseal check --connect`, what it knows of the policy, and its report."""
        done = self.ask("check", domain, "--connect", "--json", timeout=PATIENCE)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            return f"exit code {done.returncode}", "", [done.stdout + done.stderr]
        state = report["mta_sts"]["state"]
        known = re.search("enforce|testing|none|unknown", state)[0]
        return self._verdict(report), known, [state, report["why"]]

    @staticmethod
    def _verdict(report):
        reached = next((c for c in report["connections"] if c["authentication"]), None)
        word = {"authenticated": reached and reached["authentication"], "unauthenticated": OPEN}.get(report["grade"])
        return f"{word} {reached['host']}" if word else BLOCKED

    def remembered(self):
        """Domain -> mode, of the policies that it remembers."""
        listed = self.ask("policy", "list", "--json", timeout=PATIENCE)
        return {entry["domain"]: entry["mode"] for entry in map(json.loads, listed.stdout.splitlines())}


def through_waxseal(attempt):
    """The verdict of a message that an MTA gave to waxseal: the seal in the reply tells it."""
    if attempt.status != "sent":
        return BLOCKED
    host, tls, proof = re.search(r"\[(\S+) (\S+)(?: (\S+))? \w{26}\]\)$", attempt.told).groups()
    return f"{proof if proof in (PKIX, DANE) else OPEN} {host}"


# ---------------------------------------------------------------------------------------------------- Postfix

FOLLOWING = """\
# No certificate of a recipient's host is looked at twice.
smtp_tls_session_cache_database =
smtp_connection_cache_on_demand = no
"""

DIRECT = """\
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_policy_maps = socketmap:inet:{socketmap}:postfix
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
"""


def senders(lab, ca):
    """The three MTAs, by the way that they send."""
    direct = DIRECT.format(socketmap=":".join(map(str, SOCKETMAP)), ca=ca)
    ways = {"relay": way_through_relay(RELAY, GATE), "lmtp": way_through_lmtp(LMTP, GATE), "direct": direct}
    return {via: FollowedMta(lab, f"sender-{via}", FOLLOWING + way, SENDERS[via]) for via, way in ways.items()}


def without_waxseal(attempt, answer):
    """The verdict of a message of the Postfix that asks the resolver, which answered so."""
    if attempt.status != "sent":
        return BLOCKED
    # Postfix says "Verified" where a policy demanded a proof, and "Trusted" where a good certificate was luck.
    proven = attempt.shaken.startswith("Verified ")
    word = (PKIX if answer.startswith("OK secure ") else DANE) if proven else OPEN
    return f"{word} {re.search(r' relay=([^[]+)', attempt.told)[1]}"


# --------------------------------------------------------------------------------- postfix-mta-sts-resolver

RESOLVER_CONFIG = """\
host: {host}
port: {port}
# It asks for the TXT record each time, as waxseal does.
cache_grace: 0
shutdown_timeout: 1
# Its default forgets everything at a restart.
cache:
  type: sqlite
  options:
    filename: {directory}/resolver.db
"""


class PolicyResolver:
    """The daemon that Postfix asks for TLS policies."""

    def __init__(self, lab, program, ca):
        self._lab, self._program, self._ca = lab, program, ca
        self._config = lab.dir / "resolver.yml"
        host, port = SOCKETMAP
        self._config.write_text(RESOLVER_CONFIG.format(host=host, port=port, directory=lab.dir))
        self.process = None
        self.start()

    def start(self):
        """Starts it, also once more. The authority of the lab is the only one that it trusts."""
        command = [self._program, "-c", self._config]
        self.process = Process(self._lab, "resolver", command, SSL_CERT_FILE=str(self._ca))
        wait_until("resolver", lambda: listening(*SOCKETMAP), 20, self.process.running)

    @staticmethod
    def ask(domain):
        """Its answer, in the words of socketmap_table(5)."""
        with socket.create_connection(SOCKETMAP, timeout=PATIENCE) as connection, connection.makefile("rwb") as stream:
            request = f"postfix {domain}".encode()
            stream.write(b"%d:%s," % (len(request), request))
            stream.flush()
            length = b""
            while (octet := stream.read(1)) not in (b":", b""):
                length += octet
            return stream.read(int(length)).decode()
