"""Puts every query of grafana/ to a Prometheus that reads a fleet at work.

`run` beside this file starts it. `traffic.py` is the fleet and its mail, `destinations.py` what the destinations publish, `prometheus.py`
the server, `queries.py` what must be found, `structure.py` how a dashboard is built.
"""

import argparse
import os
import re
import subprocess
import sys

import queries
import structure
import yaml
from internet import GATE
from lab import LabError, free_ports, wait_until
from places import GRAFANA, HERE, RULES, TESTS
from prometheus import Prometheus, QueryError
from report import conduct
from traffic import Fleet

# Recorded series that look back further than this run: weeks.test.yml has them.
NOT_YET = {"job:waxseal_plaintext:ratio_rate1w", "job:waxseal_blocked:ratio_rate1w"}


def succeeds(*command, stdin=None):
    """What a command complains about; promtool's lint exits with 3."""
    done = subprocess.run(
        [str(word) for word in command], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        yield f"{' '.join(map(str, command))}: exit code {done.returncode}"
        yield done.stdout


# ------------------------------------------------------------------------------------------ without a fleet


def rules_are_rules():
    yield from succeeds("promtool", "check", "rules", *RULES)
    yield from succeeds("promtool", "check", "config", GRAFANA / "prometheus/prometheus.yml")


def alerts():
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def alerts_say_what_to_do():
    for alert in alerts():
        if set(alert["labels"]) != {"severity"} or alert["labels"]["severity"] not in ("critical", "warning", "info"):
            yield f"{alert['alert']}: labels {alert['labels']}"
        missing = {"summary", "description", "runbook"} - set(alert["annotations"])
        yield from (f"{alert['alert']}: no {annotation}" for annotation in missing)


def alerts_fire_and_stay_silent():
    tests = "\n".join(path.read_text() for path in TESTS)
    cases = re.findall(r'expr: ALERTS\{alertname="(\w+)", alertstate="firing"\}\s+eval_time: \S+\s+exp_samples:( \[\])?', tests)
    for alert in alerts():
        for silent, word in (("", "fires"), (" []", "stays silent")):
            if (alert["alert"], silent) not in cases:
                yield f"{alert['alert']}: no test in which it {word}"
    for path in TESTS:
        yield from succeeds("promtool", "test", "rules", path)


def provisioning_fits():
    datasources, dashboards = (
        [yaml.safe_load(path.read_text()) for path in (GRAFANA / "provisioning" / kind).glob("*.yaml")]
        for kind in ("datasources", "dashboards")
    )
    sources = [source for file in datasources for source in file["datasources"]]
    providers = [provider for file in dashboards for provider in file["providers"]]
    if {file["apiVersion"] for file in datasources + dashboards} != {1}:
        yield "apiVersion is not 1"
    if [source["type"] for source in sources] != ["prometheus"]:
        yield "there is not one data source, a Prometheus"
    if [(provider["type"], "path" in provider["options"]) for provider in providers] != [("file", True)]:
        yield "there is not one provider, with the path of files"


# --------------------------------------------------------------------------------------------- with a fleet


class Watched:
    """The fleet, and the Prometheus that has read what it did."""

    def __init__(self, lab, binary, verbose):
        self._verbose = verbose
        self.fleet = Fleet(lab, binary)
        self._targets = [instance.admin for instance in self.fleet.instances]
        self.prometheus = Prometheus(lab, *free_ports([GATE], 1), self._targets)
        self._reloads = []
        # Between the two messages everything is read: a counter that appears with its first event rises with the second.
        for is_second in (False, True):
            self.prometheus.wait_until_read()
            if is_second:
                self.fleet.take_tls_away()
            self.fleet.send()
            first, second = self.fleet.instances
            self._reloads += [(first.ask("/reload", post=True), 200), (second.reload_in_vain(), 500)]

    def wait(self):
        """Until all that was done can be seen in Prometheus. waxseal counts its MTA-STS policies once a minute."""
        counted = "min(sum by (instance) (waxseal_mta_sts_policies)) > 0"
        wait_until("MTA-STS policies are counted", lambda: self.prometheus.now(counted), 120)
        self.prometheus.wait_until_read()

    def reloads_went_as_planned(self):
        for (status, text), expected in self._reloads:
            if (status == 200) != (expected == 200):
                yield f"{status} {text}"

    def metrics_are_clean(self):
        for instance in self.fleet.instances:
            yield from succeeds("promtool", "check", "metrics", stdin=instance.ask("/metrics")[1])

    def known(self):
        """All names that a query may use."""
        names = {rule["name"] for rule in self.prometheus.rules() if rule["type"] == "recording"}
        return names.union(*(queries.registry(instance.ask("/metrics")[1]) for instance in self.fleet.instances))

    def metrics_exist(self):
        """Of dashboards, rules and alerts."""
        known = self.known()
        asked = [query.text for query in queries.of_dashboards()]
        asked += [match for _, match, _ in queries.of_variables()]
        asked += [rule["query"] for rule in self.prometheus.rules()]
        for text in asked:
            yield from (f"{name} does not exist: {text}" for name in sorted(queries.metrics_in(text) - known))
        shown = set().union(*map(queries.metrics_in, asked))
        families = {re.sub("_(bucket|sum|count)$", "", name) for name in known}
        unseen = [name for name in sorted(families) if not any(word.startswith(name) for word in shown)]
        print(f"{len(asked)} queries name {len(shown)} metrics; not asked for: {', '.join(unseen) or 'none'}")

    def a_metric_that_is_gone_is_noticed(self):
        """The check above, checked."""
        known = self.known() - {"waxseal_deliveries_total"}
        blind = [query for query in queries.of_dashboards()
                 if "waxseal_deliveries_total" in query.text and queries.metrics_in(query.text) <= known]
        yield from (f"not noticed: {query}" for query in blind)

    def panels_have_data(self):
        for query in queries.of_dashboards():
            yield from self._asked(query, ".+", query.complaints)
        titles = {(query.page, query.panel) for query in queries.of_dashboards()}
        yield from (f"an exception for nothing: {name}" for name in queries.ZEROS if name not in titles)

    def panels_of_one_instance_show_no_other(self):
        for query in queries.of_dashboards():
            yield from self._asked(query, re.escape(self._targets[0]), lambda found, query=query: self._strangers(query, found))

    def _strangers(self, query, found):
        seen = {labels["instance"] for labels, _ in found if "instance" in labels}
        if not seen <= {self._targets[0]}:
            yield f"{query}: shows {seen}"

    def _asked(self, query, instance, judge):
        # A backslash in a string of PromQL is written twice, as Grafana does.
        text = query.for_instance(instance.replace("\\", "\\\\"))
        try:
            found = self.prometheus.lately(text) if query.graph else self.prometheus.now(text)
        except QueryError as error:
            yield f"{query}: {error}"
            return
        if self._verbose:
            print(f"{query}\n    {found[-3:]}")
        yield from judge(found)

    def variables_have_values(self):
        for page, match, label in queries.of_variables():
            values = self.prometheus.label_values(label, match)
            expected = self._targets if label == "instance" else ["waxseal"]
            if sorted(values) != sorted(expected):
                yield f"{page}, {label}: {values}"

    def rules_are_evaluated(self):
        for rule in self.prometheus.rules():
            if rule["health"] != "ok":
                yield f"{rule['name']}: {rule['health']} {rule.get('lastError')}"
            if rule["type"] == "recording" and rule["name"] not in NOT_YET:
                if not self.prometheus.now(f"last_over_time({rule['name']}[1h])"):
                    yield f"{rule['name']}: no data"
            if rule["type"] == "alerting":
                self.prometheus.now(rule["query"])

    def the_downgrade_is_an_alert(self):
        if not self.prometheus.now('ALERTS{alertname="WaxsealDowngradeSeen", alertstate="firing", kind="starttls"}'):
            yield "it is not"

    def no_other_alert_fires(self):
        """The lab is in good health, but for that and the reload. That alerts do fire is shown by `promtool test rules`."""
        for labels, _ in self.prometheus.now('ALERTS{alertname!~"WaxsealConfigReloadFailed|WaxsealDowngradeSeen"}'):
            yield f"{labels}"


# ------------------------------------------------------------------------------------------------------ run


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/grafana/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("--verbose", action="store_true", help="every query, and what came of it")
    return parser.parse_args()


def examine(lab, options, report):
    watched = Watched(lab, os.path.abspath(os.environ["WAXSEAL"]), options.verbose)
    report.check("dashboards-are-what-their-descriptions-say", lambda: succeeds(GRAFANA / "make", "--check"))
    report.check("dashboards-are-well-built", structure.complaints)
    report.check("provisioning-fits", provisioning_fits)
    report.check("rules-are-rules", rules_are_rules)
    report.check("alerts-say-what-to-do", alerts_say_what_to_do)
    report.check("alerts-fire-and-stay-silent", alerts_fire_and_stay_silent)
    watched.wait()
    for examined in (
        watched.reloads_went_as_planned, watched.metrics_are_clean, watched.metrics_exist,
        watched.a_metric_that_is_gone_is_noticed, watched.variables_have_values, watched.panels_have_data,
        watched.panels_of_one_instance_show_no_other, watched.rules_are_evaluated,
        watched.the_downgrade_is_an_alert, watched.no_other_alert_fires,
    ):
        report.check(examined.__name__.replace("_", "-"), examined)


def main():
    options = arguments()
    broken = (LabError, OSError, subprocess.SubprocessError)
    return conduct(lambda lab, report: examine(lab, options, report), options.keep, broken)


if __name__ == "__main__":
    sys.exit(main())
