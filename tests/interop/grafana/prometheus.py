"""A Prometheus that reads the fleet, and the questions to it."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

from internet import GATE
from lab import LabError, Process, wait_until
from places import RULES

CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
  - job_name: waxseal
    static_configs: [{{targets: {targets}}}]
"""


class QueryError(Exception):
    """Prometheus does not understand, in its own words."""


class Prometheus:
    """The server."""

    def __init__(self, lab, port, targets):
        config = lab.dir / "prometheus.yml"
        rules = json.dumps([str(path) for path in RULES])
        config.write_text(CONFIG.format(rules=rules, targets=json.dumps(targets)))
        self._api = f"http://{GATE}:{port}/api/v1"
        self._targets = targets
        self._process = Process(lab, "prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={lab.dir}/tsdb",
            f"--web.listen-address={GATE}:{port}", "--log.level=warn",
        ])
        wait_until("Prometheus", self._sees_all, 60, self._process.running)

    def _sees_all(self):
        try:
            return len(self.now('up{job="waxseal"} == 1')) == len(self._targets)
        except OSError:
            return False

    def wait_until_read(self):
        """Until everything that has happened by now has been read, and the rules have been evaluated after that."""
        read = self._younger_than(time.time(), "waxseal_build_info", len(self._targets))
        wait_until("Prometheus reads", read, 60, self._process.running)
        recorded = self._younger_than(time.time(), "job:waxseal_deliveries:rate1h", 1)
        wait_until("Prometheus evaluates", recorded, 60, self._process.running)
        wait_until("all rules", lambda: all(rule["health"] != "unknown" for rule in self.rules()), 60, self._process.running)

    def _younger_than(self, moment, metric, count):
        """Are there so many series of a metric, with samples of later than `moment`?"""
        return lambda: len(self.now(f"timestamp({metric}) > {moment:.3f}")) == count

    def _get(self, what, **parameters):
        # Straight to loopback, whatever http_proxy says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self._api}/{what}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it listens, and still reads its files
                raise
            raise QueryError(json.load(error)["error"]) from error

    def now(self, query):
        """The result at this moment: (labels, value) of each series."""
        answer = self._get("query", query=query)
        if answer["resultType"] != "vector":
            raise LabError(f"{query}: a {answer['resultType']}")
        return [(series["metric"], float(series["value"][1])) for series in answer["result"]]

    def lately(self, query):
        """The result over the last minute: (labels, value) of each sample."""
        end = time.time()
        answer = self._get("query_range", query=query, start=end - 60, end=end, step=5)
        return [(series["metric"], float(value)) for series in answer["result"] for _, value in series["values"]]

    def label_values(self, label, match):
        return self._get(f"label/{label}/values", **{"match[]": match})

    def rules(self):
        """Everything about every rule, as Prometheus sees it."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
