"""Compares what Postfix and waxseal make of DANE.

`run` beside this file starts it, in network and mount namespaces of its own. `table.py` has the cases, `zones.py` makes
the DNS, `hosts.py` the MX hosts, `parties.py` asks those who are compared.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import zones
from hosts import Authorities, Host, Internet
from lab import Lab, LabError, print_logs, run
from parties import DANE, GATES, Postfix, Waxseal, finger, of_deliveries
from table import CASES

AT_ONCE = 4  # questions under way


class Row:
    """A case in the lab: its names, its hosts, and what everybody said."""

    def __init__(self, case, number):
        self.case = case
        self.domain = self._name(case.to)
        self._hosts = [self._host(2 * number, case.mx1), self._host(2 * number + 1, case.mx2)]
        self.verdicts = {}
        self.told = []  # what led to the verdicts

    def hosts(self):
        return [host for host in self._hosts if f" {self._token(host)}" in self.case.zone]

    def _token(self, host):
        return f"IP{self._hosts.index(host) + 1}"

    def _host(self, number, shows):
        shows, _, name = shows.rpartition("as ") if "as " in shows else (shows, "", "mx.signed")
        return Host(number, set(shows.split()), self._name(name).rstrip("."))

    def _name(self, word):
        """A name of a case as the full name, everything else as it is."""
        above, dot, last = word.rpartition(".")
        if last not in zones.ZONE_WORDS:
            return word
        return f"{above}{dot}{self.case.name}.{last}.test"

    def put_into(self, lab_zones, authorities):
        for line in self.case.zone.splitlines():
            forged = line.startswith("forged ")
            owner, kind, *data = line.removeprefix("forged ").split()
            if kind == "TLSA":
                data = [*data[:3], self._association(data, authorities)]
            put = lab_zones.forge if forged else lab_zones.add
            put(f"{self._name(owner)}.", kind, " ".join(map(self._datum, data)))

    def _datum(self, word):
        for host in self._hosts:
            if word == self._token(host):
                return host.address
        name = self._name(word)
        return word if name == word else f"{name}."

    def _association(self, data, authorities):
        _, selector, matching, whose = data
        leaves = {f"leaf{number}": host.certificate for number, host in enumerate(self._hosts, start=1)}
        known = {**leaves, "root": authorities.root, "intermediate": authorities.intermediate}
        if whose in known:
            return known[whose].tlsa(selector, matching)
        if whose == "00":
            return whose
        return {"1": hashlib.sha256, "2": hashlib.sha512}[matching](whose.encode()).hexdigest()

    def say(self, party, verdict, lines):
        self.verdicts[party] = verdict
        self.told += [f"{party}: {line}" for line in lines]

    def differences(self):
        """Who did not say what follows from the construction."""
        case = self.case
        expected = dict.fromkeys(PARTIES, case.expected)
        expected["Postfix"] = case.postfix or case.expected
        for party, verdict in self.verdicts.items():
            if party == FINGER:
                proven = (case.finger or expected["Postfix"]) == DANE
                if (verdict == DANE) != proven:
                    yield f"{party} says {verdict!r}, expected {'dane' if proven else 'anything but dane'}"
            elif verdict != expected[party]:
                yield f"{party} says {verdict!r}, expected {expected[party]!r}"


FINGER = "posttls-finger"
PARTIES = (FINGER, "Postfix", *(f"{dnssec} {what}" for dnssec in GATES for what in ("check", "mail")))


class Experiment:
    """All parties, all cases."""

    def __init__(self, lab, binary, cases):
        self._lab = lab
        self._binary = binary
        self.rows = [Row(case, CASES.index(case)) for case in cases]
        self._hosts = [host for row in self.rows for host in row.hosts()]
        self._gates = {}

    def prepare(self):
        run(["ip", "link", "set", "lo", "up"])
        authorities = Authorities(self._lab.dir / "certificates")
        for host in self._hosts:
            host.certify(authorities, self._lab.dir / "certificates")
        lab_zones = zones.Zones(self._lab)
        for row in self.rows:
            row.put_into(lab_zones, authorities)
        lab_zones.write()
        zones.start(self._lab, lab_zones)
        resolv_conf = self._lab.dir / "resolv.conf"
        resolv_conf.write_text(f"nameserver {zones.RESOLVER}\noptions trust-ad edns0\n")
        run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"])
        for dnssec in GATES:
            self._gates[dnssec] = Waxseal(self._lab, self._binary, dnssec, lab_zones.anchor)
        for gate in self._gates.values():
            gate.wait_until_ready()

    def carry_out(self):
        sealed = self._deliver("tls", look=True)
        plain = self._deliver("plain", look=False)
        for row in self.rows:
            for party, (fate, lines) in sealed[row].items():
                without, later = plain[row][party]
                row.say(party, of_deliveries(fate, without), [*lines, *(f"(no STARTTLS) {line}" for line in later)])

    def _deliver(self, name, look):
        """Mail to all cases by all parties: row -> party -> fate. `look`: ask those that only look, too."""
        internet = Internet(self._lab, self._hosts, tls=name == "tls")
        internet.start()
        postfix = Postfix(self._lab, f"sender-{name}")
        postfix.start()
        fates = postfix.fates([row.domain for row in self.rows])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            if look:
                list(pool.map(lambda row: self._look(row, postfix), self.rows))
            through = list(pool.map(self._mail, self.rows))
        postfix.stop()
        internet.stop()
        return {row: {"Postfix": fates[row.domain], **by_waxseal} for row, by_waxseal in zip(self.rows, through)}

    def _look(self, row, postfix):
        row.say(FINGER, *finger(postfix.config, row.domain))
        for dnssec, gate in self._gates.items():
            row.say(f"{dnssec} check", *gate.check(row.domain))

    def _mail(self, row):
        return {f"{dnssec} mail": gate.fate(row.domain) for dnssec, gate in self._gates.items()}


def columns(row):
    """The cells of a row."""
    said = row.verdicts
    gates = []
    for dnssec in GATES:
        check, mail = (said[f"{dnssec} {what}"] for what in ("check", "mail"))
        gates.append(check if check == mail else f"{check}, mail: {mail}")
    return [row.case.name, said[FINGER], said["Postfix"], *gates, row.case.expected]


def print_table(rows):
    lines = [["case", FINGER, "Postfix", *(f"waxseal {dnssec}" for dnssec in GATES), "expected"], *map(columns, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/dane/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("--verbose", action="store_true", help="what led to the verdicts of every case")
    return parser.parse_args()


def report(rows, verbose):
    """Prints everything. Returns the number of rows with a difference."""
    print_table(rows)
    for row in rows:
        if row.case.because:
            print(f"{row.case.name}: {row.case.because}")
    different = {row: found for row in rows if (found := list(row.differences()))}
    for row in rows:
        if row in different or verbose:
            word = "FAILED" if row in different else "ok"
            print(f"{word} {row.case.name}", *different.get(row, []), *row.told, sep="\n    ")
    print(f"{len(rows) - len(different)} agree, {len(different)} differ")
    return len(different)


def main():
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    lab = Lab(options.keep)
    cases = [case for case in CASES if not options.case or case.name in options.case]
    experiment = Experiment(lab, os.path.abspath(os.environ["WAXSEAL"]), cases)
    try:
        experiment.prepare()
        experiment.carry_out()
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"the lab is broken: {error}")
        print_logs(lab)
        return 1
    finally:
        lab.close()
    return 1 if report(experiment.rows, options.verbose) else 0


if __name__ == "__main__":
    sys.exit(main())
