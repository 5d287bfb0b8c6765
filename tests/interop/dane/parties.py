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
import re
import smtplib
import subprocess

from lab import Process, listening, wait_until
from postfix import Instance
from zones import RESOLVER

DANE, ENCRYPTED, OPPORTUNISTIC, BLOCKED = "dane", "encrypted", "opportunistic", "blocked"
POSTFIX = "127.54.0.10"
GATES = {"trust-ad": "127.54.0.20", "validate": "127.54.0.21"}
PATIENCE = 120  # seconds for one question to one party


def of_deliveries(sealed, plain):
    """The verdict of two deliveries: what the first one was (`dane`, `open` or `blocked`), what the second."""
    if sealed == BLOCKED:
        return BLOCKED
    if sealed == DANE:
        return DANE if plain == BLOCKED else "dane, but leaves without TLS too"
    return ENCRYPTED if plain == BLOCKED else OPPORTUNISTIC


def recipient(domain):
    return f"ottokar@{domain}"


def send(address, domain):
    """Sends one message to an MTA. Returns the reply that decides; at waxseal that to the end of data tells how it left."""
    with smtplib.SMTP(address, 25, local_hostname="client.test", timeout=PATIENCE) as session:
        session.ehlo()
        for code, text in (session.mail(""), session.rcpt(recipient(domain))):
            if code != 250:
                break
        else:
            try:
                code, text = session.data("Subject: wax\r\n\r\nhello\r\n")
            except smtplib.SMTPDataError as refused:
                code, text = refused.smtp_code, refused.smtp_error
        return code, text.decode(errors="replace")


# ---------------------------------------------------------------------------------------------------- Postfix

SENDING = """\
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
smtp_connection_cache_on_demand = no
"""


class Postfix(Instance):
    """A Postfix that delivers with DANE."""

    def __init__(self, lab, name):
        super().__init__(lab, name, SENDING, f"{POSTFIX}:25 inet n - n - - smtpd\n", [])

    def start(self):
        super().start()
        wait_until(self.name, lambda: listening(POSTFIX, 25), 20)

    def fates(self, domains):
        """Sends a message to every domain and waits for what became of each: domain -> (word, log lines)."""
        for domain in domains:
            code, text = send(POSTFIX, domain)
            if code != 250:
                return {domain: ("refused", [f"{code} {text}"]) for domain in domains}
        fates = {}

        def all_known():
            fates.update(self._known())
            return set(domains) <= set(fates)

        wait_until(f"{self.name}: deliveries", all_known, 2 * PATIENCE)
        return fates

    def _known(self):
        """Reads the log. A smtp process has one delivery at a time, its TLS line comes before the status."""
        tls = {}
        for line in self.log.read_text().splitlines():
            seen = re.search(r" (postfix/\w+\[\d+\]): (.*)", line)
            if not seen:
                continue
            process, text = seen.groups()
            if "TLS connection established to" in text:
                tls[process] = text
            status = re.search(r"^\w+: to=<[^@]*@([^>]*)>, .* status=(\w+) ", text)
            if status:
                shaken = tls.pop(process, "")
                domain, word = status.groups()
                # No authority is trusted here, so that "Trusted" is DANE, too: Postfix says it where the MX record,
                # which is not signed, could be a lie, "Verified" where it could not.
                proven = shaken.startswith(("Verified ", "Trusted "))
                fate = BLOCKED if word != "sent" else DANE if proven else "open"
                yield domain, (fate, [line for line in (shaken, text) if line])


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

[tls]
roots = "none"
"""


class Waxseal:
    """A waxseal with one way to know what is signed."""

    def __init__(self, lab, binary, dnssec, anchor):
        self._binary = binary
        self.address = GATES[dnssec]
        directory = lab.dir / f"waxseal-{dnssec}"
        (directory / "policies").mkdir(parents=True)
        self._config = directory / "waxseal.toml"
        self._config.write_text(CONFIG.format(address=self.address, resolver=RESOLVER, dnssec=dnssec, anchor=anchor))
        self.process = Process(lab, f"waxseal-daemon-{dnssec}", [binary, "run", "--config", self._config])

    def wait_until_ready(self):
        wait_until("waxseal", lambda: listening(self.address, 25), 30, self.process.running)

    def check(self, domain):
        """The verdict of `waxseal check --connect`, and its report."""
        command = [self._binary, "check", domain, "--connect", "--json", "--config", self._config]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self._config.parent, timeout=PATIENCE
        )
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
        code, text = send(self.address, domain)
        fate = BLOCKED if code != 250 else DANE if text.endswith(" dane]") else "open"
        return fate, [f"{code} {text}"]
