"""What the page is to show: one waxseal, the destinations of the lab, and mail of every fate."""

import json
import secrets
import smtplib
import urllib.error
import urllib.request

import destinations
from internet import DEAD, GATE, MXS, SENDER, UNKNOWN, Authority
from lab import free_ports, wait_until
from postfix import Internet
from waxseal import CONFIG, RULES, Daemon

MORE_CONFIG = """
[mta_sts]
port = {web}
"""

# What strangers and colleagues write must come out as it went in.
HOSTILE = "<img src=x onerror=alert(1)> \\u202e \"quoted\" & more"
MORE_RULES = f"""
[[rule]]
domains = ["old.example"]
tls = "may"
expires = 2020-01-01
reason = '{HOSTILE}'
"""

# Recipient -> what the page calls it.
FATES = {
    "anneliese@many4.example": "sealed",  # DANE
    "anneliese@many5.example": "sealed",  # MTA-STS
    "anneliese@secure.example": "sealed",  # PKIX by a rule
    "anneliese@careful.example": "sealed",  # would have been blocked
    "anneliese@plain.example": "open",
    "anneliese@many3.example": "open",  # an MTA-STS policy only tests
    f"{UNKNOWN}@tls.example": "rejected",
    "anneliese@plain-but-must.example": "blocked",
    f"anneliese@{destinations.MISMATCH}": "blocked",
    "anneliese@dead.example": "deferred",
    "anneliese@nosuch.example": "refused",
}


class Scene:
    """The internet of the lab, and a waxseal whose endpoint has a token."""

    def __init__(self, lab, binary):
        web = [destinations.WEB.format(at) for at in range(len(destinations.POLICIES))]
        names = ("mx", "dns", "web", "relay", "lmtp", "admin")
        self._ports = dict(zip(names, free_ports([GATE, *DEAD, *web, *(mx.address for mx in MXS)], len(names))))
        authorities = {name: Authority(lab.dir, f"{name}-ca") for name in ("lab", "other")}
        Internet(lab, self._ports["mx"], authorities).start()
        destinations.start_dns(lab, self._ports["dns"], self._ports["mx"])
        destinations.start_web(lab, self._ports["web"], authorities["lab"])
        self.token = secrets.token_hex(16)
        (lab.dir / "token").write_text(self.token)
        config = CONFIG + MORE_CONFIG
        config = config.replace("[admin]\n", f'[admin]\ntoken_file = "{lab.dir}/token"\n')
        config = config.format(gate=GATE, ca=authorities["lab"].certificate, **self._ports)
        self.url = f"http://{GATE}:{self._ports['admin']}"
        self.daemon = Daemon(lab, binary, "waxseal", config, RULES + MORE_RULES)
        wait_until("waxseal", lambda: self.ask("/readyz")[0] == 200, 30, self.daemon.process.running)

    def send(self, recipient):
        """One message by LMTP; whatever becomes of it."""
        with smtplib.LMTP(GATE, self._ports["lmtp"], local_hostname="client.example") as client:
            try:
                client.sendmail(SENDER, [recipient], "Subject: wax\r\n\r\nA line of wax.\r\n")
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
                pass

    def ask(self, path, method="GET", token=None):
        """Status (0: no answer) and text."""
        # Straight to loopback, whatever http_proxy says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.url + path, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def json(self, path):
        """What the API says."""
        return json.loads(self.ask(path)[1])
