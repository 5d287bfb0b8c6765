"""The queries of the dashboards, which metrics they name, and what they must find."""

import json
import math
import re
from dataclasses import dataclass

from places import DASHBOARDS

# Queries that may find nothing but zeros here, with the reason.
ZEROS = {
    ("waxseal-policies", "Oldest failing refresh"): "no remembered policy fails to be refreshed: it is tried once a day",
    ("waxseal-policies", "Oldest failing refresh, by instance"): "as above",
    ("waxseal-policies", "Failed look-ups, share"): "the name server of the lab answers everything",
    ("waxseal-performance", "Lines of the audit log lost, per minute"): "the disk of the lab is neither full nor broken",
    ("waxseal-tls", "Safe from quantum computers"): "OpenSSL before 3.5 has no X25519MLKEM768",
    ("waxseal-tls", "Safe from quantum computers, share of handshakes"): "as above",
    ("waxseal-tls", "Resumed"): "waxseal need not resume anything within seconds",
    ("waxseal-performance", "CPU, by instance"): "it is counted in whole seconds, and the lab takes less than one",
}

KEYWORDS = {"and", "or", "unless", "offset", "bool", "group_left", "group_right"}


@dataclass(frozen=True)
class Query:
    """One query of a dashboard; `graph`: over time, not at one moment."""

    page: str
    panel: str
    text: str
    graph: bool

    def __str__(self):
        return f"{self.page}, {self.panel}: {self.text}"

    def for_instance(self, instance):
        """As Grafana would send it; `instance` is a regular expression."""
        text = self.text
        values = {"$__rate_interval": "30m", "$__range": "1h", "$job": ".+", "$instance": instance}
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    def complaints(self, found):
        """What is wrong with what was found."""
        values = [value for _, value in found if not math.isnan(value)]
        if not values:
            yield f"{self}: no data"
        elif not any(values) and (self.page, self.panel) not in ZEROS:
            yield f"{self}: nothing but zeros"


def of_dashboards():
    """All queries of panels and annotations."""
    for path in DASHBOARDS:
        page = json.loads(path.read_text())
        for panel in page["panels"]:
            for target in panel.get("targets", ()):
                yield Query(page["uid"], panel["title"], target["expr"], panel["type"] == "timeseries")
        for annotation in page["annotations"]["list"]:
            yield Query(page["uid"], annotation["name"], annotation["target"]["expr"], True)


def of_variables():
    """(page, match, label) of every variable that asks Prometheus."""
    for path in DASHBOARDS:
        page = json.loads(path.read_text())
        for variable in page["templating"]["list"]:
            if variable["type"] == "query":
                text = variable["query"]["query"]
                match, label = re.fullmatch(r"label_values\((.*), (\w+)\)", text).groups()
                yield page["uid"], match.replace("$job", ".+"), label


def metrics_in(text):
    """The metrics that a query names: the words that are nothing else."""
    text = re.sub(r'"(\\.|[^"\\])*"', "", text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*(?!\s*\()(?![\w:])", text)
    return {word for word in words if word not in KEYWORDS}


def registry(exposition):
    """The names of all series in a /metrics."""
    names = {"up"}
    for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)$", exposition):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names
