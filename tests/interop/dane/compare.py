"""Compares what Postfix and waxseal make of DANE.

`run` beside this file starts it, in network and mount namespaces of its own. `table.py` has the cases, `zones.py` makes
the DNS, `hosts.py` the MX hosts, `parties.py` asks those who are compared.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from comparison import arguments, in_a_lab, print_row
from dane import zones
from dane.hosts import Authorities, Internet
from dane.parties import DANE, GATES, Postfix, Waxseal, finger, of_deliveries
from dane.places import Place
from dane.table import CASES
from lab import print_table, run

AT_ONCE = 4  # questions under way


class Row(Place):
    """A case in the lab, and what everybody said."""

    def __init__(self, case, number):
        super().__init__(case.name, number, (case.mx1, case.mx2), default_name="mx.signed")
        self.case = case
        self.domain = self.full(case.to)
        self.verdicts = {}
        self.told = []  # what led to the verdicts

    def hosts(self):
        return self.hosts_in(self.case.zone)

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
            host.certify(authorities)
        lab_zones = zones.Zones(self._lab)
        for row in self.rows:
            row.put(row.case.zone, lab_zones, authorities)
        lab_zones.write()
        zones.Servers(self._lab, lab_zones)
        zones.resolve_here(self._lab)
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


HEAD = ["case", FINGER, "Postfix", *(f"waxseal {dnssec}" for dnssec in GATES), "expected"]


def columns(row):
    """The cells of a row."""
    said = row.verdicts
    gates = []
    for dnssec in GATES:
        check, mail = (said[f"{dnssec} {what}"] for what in ("check", "mail"))
        gates.append(check if check == mail else f"{check}, mail: {mail}")
    return [row.case.name, said[FINGER], said["Postfix"], *gates, row.case.expected]


def report(rows, verbose):
    """Prints everything. Returns the number of rows with a difference."""
    print_table(HEAD, map(columns, rows))
    for row in rows:
        if row.case.because:
            print(f"{row.case.name}: {row.case.because}")
    different = {row: found for row in rows if (found := list(row.differences()))}
    for row in rows:
        print_row(row.case.name, different.get(row, []), row.told, verbose)
    print(f"{len(rows) - len(different)} agree, {len(different)} differ")
    return len(different)


def experiment(lab, cases):
    """The rows of the cases, with everything that was said."""
    compared = Experiment(lab, os.path.abspath(os.environ["WAXSEAL"]), cases)
    compared.prepare()
    compared.carry_out()
    return compared.rows


def main():
    options = arguments("tests/interop/dane/run", __doc__, [case.name for case in CASES])
    cases = [case for case in CASES if options.wants(case.name)]
    rows = in_a_lab(options, lambda lab: experiment(lab, cases))
    return 1 if rows is None or report(rows, options.verbose) else 0


if __name__ == "__main__":
    sys.exit(main())
