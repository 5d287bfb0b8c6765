"""A fleet of two instances, the MTAs that send through them, and mail of every fate."""

import re
import smtplib
import socket
import urllib.error
import urllib.request

import destinations
from internet import DEAD, GATE, MXS, SENDER, STRANGER, UNKNOWN, Authority
from lab import Process, free_ports, run, wait_until
from postfix import Internet, Sender, one_by_one, way_through_lmtp, way_through_relay
from waxseal import CONFIG, RULES

# Of the last listener nothing is known but that it passes connections through. What waits in the pool is to be seen.
MORE_CONFIG = """
[pool]
idle = "1m"

[mta_sts]
port = {web}

[[listener]]
kind = "socketmap"
listen = "{gate}:{map}"

[[listener]]
kind = "socks5"
listen = "{gate}:{socks}"
bypass = ["127.0.0.0/8"]

[[destination]]
network = ["0.0.0.0/0", "::/0"]
connections = 1000

[metrics]
domains = ["tls.example", "plain-but-must.example"]
"""

# One message, and what must become of it by the rules of the lab (waxseal.py) and what the destinations publish.
RECIPIENTS = (
    "anneliese@tls.example",  # TLS; its MTA-STS policy cannot be fetched
    f"{UNKNOWN}@tls.example",  # rejected
    "anneliese@encrypt.example",  # TLS by a rule
    "anneliese@plain.example",  # plaintext
    "anneliese@plain-but-must.example",  # blocked by a rule: no TLS
    "anneliese@secure.example",  # PKIX by a rule
    "anneliese@wrongname.example",  # blocked by a rule: another name
    "anneliese@careful.example",  # would be blocked by a rule; the second time its MX has lost its TLS
    f"anneliese@{destinations.PINNED}",  # fingerprint
    "anneliese@many2.example",  # blocked by MTA-STS
    "anneliese@many3.example",  # would be blocked by MTA-STS
    "anneliese@many4.example",  # DANE
    "anneliese@many5.example",  # PKIX by MTA-STS
    f"anneliese@{destinations.MISMATCH}",  # blocked by DANE
    "anneliese@dead.example",  # fails: nobody there
    "anneliese@nullmx.example",  # fails: takes no mail
    "anneliese@nosuch.example",  # fails: no such domain
)

MESSAGE = b"From: <%s>\r\nSubject: wax\r\n\r\n%s" % (SENDER.encode(), b"A line of wax.\r\n" * 1000)


class Instance:
    """One waxseal."""

    def __init__(self, lab, binary, name, ports, ca):
        self.ports = ports
        directory = lab.dir / name
        (directory / "policies").mkdir(parents=True)
        self._rules = directory / "policies/00-lab.toml"
        self._rules.write_text(RULES + destinations.rule(lab))
        config = directory / "waxseal.toml"
        config.write_text((CONFIG + MORE_CONFIG).format(gate=GATE, ca=ca, **ports))
        self.admin = f"{GATE}:{ports['admin']}"
        self._process = Process(lab, f"{name}-daemon", [binary, "run", "--config", config])

    def wait_until_ready(self):
        wait_until(self.admin, lambda: self.ask("/readyz")[0] == 200, 30, self._process.running)

    def ask(self, path, post=False):
        """Status (0: no answer) and text."""
        # Straight to loopback, whatever http_proxy says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f"http://{self.admin}{path}", method="POST" if post else "GET")
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def reload_in_vain(self):
        """A reload that fails; the rules are mended, but not loaded again."""
        good = self._rules.read_text()
        self._rules.write_text("nonsense")
        answer = self.ask("/reload", post=True)
        self._rules.write_text(good)
        return answer

    def send_nonsense(self):
        """Content with a line feed that stands alone: waxseal refuses it."""
        with socket.create_connection((GATE, self.ports["relay"]), timeout=30) as client:
            stream = client.makefile("rb")
            stream.readline()
            for command in ("HELO client.example", "MAIL FROM:<>", "RCPT TO:<anneliese@tls.example>", "DATA"):
                client.sendall(f"{command}\r\n".encode())
                stream.readline()
            client.sendall(b"bare\nline\r\n.\r\n")
            return stream.readline().decode()

    def ask_policy(self):
        """What Postfix would ask, and the answer."""
        key = b"waxseal encrypt.example"
        with socket.create_connection((GATE, self.ports["map"]), timeout=30) as client:
            client.sendall(b"%d:%s," % (len(key), key))
            return client.recv(1000).decode()

    def pass_through(self, port):
        """A connection by SOCKS 5 that waxseal leaves alone; the greeting of the MX."""
        with socket.create_connection((GATE, self.ports["socks"]), timeout=30) as client:
            client.sendall(b"\x05\x01\x00")
            client.recv(2)
            client.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(MXS[0].address) + port.to_bytes(2, "big"))
            stream = client.makefile("rb")
            stream.read(10)
            return stream.readline().decode()


class Fleet:
    """The internet of the lab, two instances (one is used by LMTP, one as a relay), an MTA before each."""

    def __init__(self, lab, binary):
        web = [destinations.WEB.format(at) for at in range(len(destinations.POLICIES))]
        names = ("mx", "dns", "web", "submit1", "submit2", *(f"{kind}{at}" for at in (1, 2) for kind in KINDS))
        addresses = [GATE, *DEAD, *web, *(mx.address for mx in MXS)]
        ports = dict(zip(names, free_ports(addresses, len(names))))
        self._mx_port = ports["mx"]
        authorities = {name: Authority(lab.dir, f"{name}-ca") for name in ("lab", "other")}
        self._internet = Internet(lab, ports["mx"], authorities)
        self._internet.start()
        destinations.start_dns(lab, ports["dns"], ports["mx"])
        destinations.start_web(lab, ports["web"], authorities["lab"])
        self.instances = [
            Instance(lab, binary, f"waxseal{at}", _of(ports, at), authorities["lab"].certificate) for at in (1, 2)
        ]
        for instance in self.instances:
            instance.wait_until_ready()
        first, second = (instance.ports for instance in self.instances)
        self._senders = [
            Sender(lab, "lmtp", ports["submit1"], way_through_lmtp(first["lmtp"])),
            Sender(lab, "relay", ports["submit2"], way_through_relay(second["relay"]) + one_by_one()),
        ]
        for sender in self._senders:
            sender.start()

    def send(self):
        """A message of every fate through every instance; returns when each recipient has met it."""
        for sender in self._senders:
            with smtplib.SMTP(GATE, sender.port, local_hostname="client.example", timeout=60) as client:
                client.sendmail(SENDER, RECIPIENTS, MESSAGE)
        for sender in self._senders:
            wait_until(f"{sender.name}: deliveries", lambda sender=sender: _settled(sender), 120)
        for instance in self.instances:
            instance.send_nonsense()
            instance.ask_policy()
            instance.pass_through(self._mx_port)


    def take_tls_away(self):
        """The MX of careful.example loses its TLS, as if somebody on the way took STARTTLS out."""
        service = f"{STRANGER.address}:{self._mx_port}/inet"
        run(["postconf", "-c", self._internet.config, "-P", f"{service}/smtpd_tls_security_level=none"])
        # Not `reload`: then an smtpd that goes on can wait for a cleanup that has just gone, for an hour.
        self._internet.stop()
        self._internet.start()


KINDS = ("relay", "lmtp", "admin", "map", "socks")


def _of(ports, at):
    """The ports of one instance, by the names in its configuration."""
    return {**ports, **{kind: ports[f"{kind}{at}"] for kind in KINDS}}


def _settled(sender):
    """Is everything that still waits waiting for a reason?"""
    reasons = [reason for message in sender.queue().values() for reason in message.values()]
    return reasons and all(re.search(r"\d\.\d\.\d", reason) for reason in reasons)
