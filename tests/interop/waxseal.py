"""The daemon under test: its configuration for the lab, its start, its metrics."""

import re
import subprocess
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


class Daemon:
    """A running waxseal with a directory of its own. `admin` is where its metrics are."""

    def __init__(self, lab, binary, name, config, rules="", admin=""):
        self._lab, self._binary, self._name, self._admin = lab, binary, name, admin
        directory = lab.dir / name
        (directory / "policies").mkdir(parents=True)
        (directory / "policies/00-lab.toml").write_text(rules)
        self.config = directory / "waxseal.toml"
        self.config.write_text(config)
        self.start()

    def start(self):
        """Starts it, also once more."""
        self.process = Process(self._lab, f"{self._name}-daemon", [self._binary, "run", "--config", self.config])

    def ask(self, *words, **options):
        """Another process with the same configuration; how it ended."""
        command = [self._binary, *words, "--config", self.config]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.config.parent, **options
        )

    def log(self):
        return self.process.log.read_text(errors="replace")

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


class Waxseal(Daemon):
    """The waxseal between the Postfixes."""

    def __init__(self, lab, binary, ports, ca):
        admin = f"http://{GATE}:{ports['admin']}"
        super().__init__(lab, binary, "waxseal", CONFIG.format(gate=GATE, ca=ca, **ports), RULES, admin)
