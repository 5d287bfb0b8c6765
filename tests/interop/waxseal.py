"""The daemon under test: its configuration for the lab, its start, its metrics."""

import re
import urllib.error
import urllib.request

from internet import GATE
from lab import Process, wait_until

CONFIG = """\
hostname = "gate.example"
policies = "policies"

[[listener]]
kind = "relay"
listen = "{gate}:{relay}"

[[listener]]
kind = "lmtp"
listen = "{gate}:{lmtp}"

[admin]
listen = "{gate}:{admin}"

[store]
path = "waxseal.db"

[dns]
servers = ["{gate}:{dns}"]

[mx]
port = {mx}
allow_networks = ["127.25.0.0/24"]

[tls]
roots = "none"
ca_files = ["{ca}"]
"""

RULES = """\
[[rule]]
domains = ["*"]
tls = "standard"
floor = "may"

[[rule]]
domains = ["encrypt.example", "plain-but-must.example"]
tls = "encrypt"
reason = "the lab demands it"

[[rule]]
domains = ["secure.example", "wrongname.example", "stranger.example"]
tls = "secure"
match = ["hostname"]

[[rule]]
domains = ["careful.example"]
tls = "secure"
match = ["hostname"]
mode = "observe"
"""


class Waxseal:
    """A running waxseal."""

    def __init__(self, lab, binary, ports, ca):
        directory = lab.dir / "waxseal"
        (directory / "policies").mkdir(parents=True)
        config = directory / "waxseal.toml"
        config.write_text(CONFIG.format(gate=GATE, ca=ca, **ports))
        (directory / "policies/00-lab.toml").write_text(RULES)
        self._admin = f"http://{GATE}:{ports['admin']}"
        self.process = Process(lab, "waxseal-daemon", [binary, "run", "--config", config])

    def wait_until_ready(self):
        wait_until("waxseal", self._ready, 30, self.process.running)

    def _ready(self):
        try:
            self._fetch("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _fetch(self, path):
        # Straight to loopback, whatever http_proxy says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self._admin + path, timeout=5) as answer:
            return answer.read().decode()

    def total(self, metric, label=""):
        """The sum of a counter over all label sets that contain `label`, such as `encryption="tls"`."""
        samples = re.findall(rf"(?m)^{metric}\{{(.*)\}} (\S+)$", self._fetch("/metrics"))
        return sum(int(float(value)) for labels, value in samples if label in labels)

    def log(self):
        return self.process.log.read_text(errors="replace")
