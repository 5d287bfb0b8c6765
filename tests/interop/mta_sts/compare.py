"""Compares what waxseal and Postfix with postfix-mta-sts-resolver make of MTA-STS.

`run` beside this file starts it, in network and mount namespaces of its own. `table.py` has the cases, `web.py` the web server,
`parties.py` asks those who are compared; DNS and MX hosts are those of the DANE lab beside it.

Every case is played at once (`first`). Those that go on are played again when what was published has changed (`later`), and
once more after waxseal and the resolver were started anew (`restarted`).
"""

import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from comparison import arguments, in_a_lab, print_row
from dane import zones
from dane.hosts import Authorities, Internet
from dane.places import Place
from lab import print_table, run
from mta_sts.parties import OPEN, PolicyResolver, Waxseal, senders, through_waxseal, without_waxseal
from mta_sts.table import CASES
from mta_sts.web import ADDRESS, NOBODY, WebServer

AT_ONCE = 4  # questions under way
REMEMBERED = 6  # seconds; waxseal keeps an answer of DNS for 5, however short its TTL


class Row(Place):
    """A case in the lab, and what everybody said about it in each of its phases."""

    def __init__(self, case, number):
        super().__init__(case.name, number, (case.mx1, case.mx2), default_name="mx.open")
        self.case = case
        self.domain = self.full(case.to)
        self.written = self.full(case.written or case.to)
        self.phases = [Phase("first", self, case)]
        if case.later:
            self.phases += [Phase(name, self, case.later) for name in case.later.phases]

    def phase(self, name):
        return next((phase for phase in self.phases if phase.name == name), None)

    def hosts(self):
        return self.hosts_in("".join(case.zone for case in (self.case, self.case.later) if case))

    def publish(self, case, lab_zones, web, authorities):
        """Puts the records and the policy of the case where they can be had."""
        sts = case.sts.replace(" WEB", f" {ADDRESS}").replace(" NOBODY", f" {NOBODY}")
        # Resolvers remember nothing: what is published counts at once.
        self.put(case.zone + sts, lab_zones, authorities, ttl=0)
        name = f"mta-sts.{self.domain}"
        web.put(name, case.web, self._policy(case), self._chain(case, name, authorities))

    def _policy(self, case):
        words = re.split(r"([^\s:]+)", case.policy)
        return "".join(map(self.full, words)).encode()

    def _chain(self, case, name, authorities):
        shows, shown_name = self.shown(case.web.shows, name)
        return authorities.chain(f"web-{name}", shown_name, shows)[1]

    def dns_failures(self, log):
        """What the resolver of the lab could not find out."""
        return [line for line in log.splitlines() if "SERVFAIL" in line and f".{self.domain}." in line]

    def short(self, name):
        """The word for a name of the case."""
        return re.sub(rf"\.{re.escape(self.case.name)}\.(\w+)\.test$", r".\1", name)


class Phase:
    """What everybody says about a case at one time."""

    def __init__(self, name, row, case):
        self.name, self.row, self.case = name, row, case
        self.title = row.case.name if name == "first" else f"{row.case.name}, {name}"
        self.said = {}
        self.told = []

    def recipient(self, via):
        return f"{via}.{self.name}@{self.row.written}"

    def say(self, party, verdict, *lines):
        """Takes a verdict, without the host where the case does not care."""
        word, _, host = verdict.partition(" ")
        self.said[party] = f"{word} {self.row.short(host)}" if " " in self.case.expected and host else word
        self.told += [f"{party}: {line}" for line in lines if line]

    def ask_resolver(self, resolver):
        self._answer = resolver.ask(self.row.written)
        word = re.match(r"(?:OK )?(\w+)", self._answer)[1].lower()
        self.say("resolver", word, self._answer)

    def ask_waxseal(self, waxseal):
        verdict, known, lines = waxseal.check(self.row.domain)
        self.say("knows", known)
        self.say("check", verdict, *lines)

    def hear(self, via, attempt, taken):
        """Takes what became of the message that was sent this way, and whether an MX has taken it."""
        verdict = without_waxseal(attempt, self._answer) if via == "direct" else through_waxseal(attempt)
        if taken != (attempt.status == "sent"):
            verdict = f"{attempt.status}, but {'' if taken else 'not '}taken by an MX"
        self.say(via, verdict, attempt.shaken, attempt.told)

    # -- What was to be expected -----------------------------------------------------------------------------

    def expected(self):
        case = self.case
        known = case.known or ("none" if case.expected.startswith(OPEN) else "enforce")
        # What the resolver can say of it: it tells Postfix nothing of a policy that is not enforced.
        resolver = "secure" if known == "enforce" else "notfound"
        return {
            "relay": case.expected, "lmtp": case.expected, "check": case.expected, "knows": known,
            "resolver": case.resolver or resolver, "direct": case.postfix or case.expected,
        }

    def complaints(self, log):
        """What is not as the case says."""
        for party, expected in self.expected().items():
            if self.said[party] != expected:
                yield f"{party} says {self.said[party]!r}, expected {expected!r}"
        if self._differs() and not self.case.because:
            yield "a difference without a reason"
        if self.case.because and not self._differs():
            yield "a reason without a difference"
        reply = next(line for line in self.told if line.startswith("relay: "))
        if not re.search(self.case.reply, reply):
            yield f"the reply is not like /{self.case.reply}/"
        lines = [line for line in log.splitlines() if self.row.domain in line]
        if self.case.log and not any(re.search(self.case.log, line) for line in lines):
            yield f"no line of waxseal's log is like /{self.case.log}/"

    def _differs(self):
        return bool(self.case.resolver or self.case.postfix)

    def cells(self):
        said = self.said
        ways = {said[party] for party in ("relay", "lmtp", "check")}
        waxseal = said["relay"] if len(ways) == 1 else " / ".join(f"{via} {said[via]}" for via in ("relay", "lmtp", "check"))
        return [self.title, said["knows"], waxseal, said["resolver"], said["direct"], "explained" if self._differs() else "same"]


HEAD = ["case", "waxseal knows", "waxseal", "resolver", "Postfix with it", ""]


class Experiment:
    """All parties, all cases."""

    def __init__(self, lab, binary, resolver, rows):
        self._lab = lab
        self.rows = rows
        run(["ip", "link", "set", "lo", "up"])
        self._authorities = Authorities(lab.dir / "certificates")
        self._web = WebServer(lab)
        hosts = [host for row in rows for host in row.hosts()]
        for host in hosts:
            host.certify(self._authorities)
        self._zones = zones.Zones(lab)
        for row in rows:
            row.publish(row.case, self._zones, self._web, self._authorities)
        self._zones.write()
        self._dns = zones.Servers(lab, self._zones)
        zones.resolve_here(lab)
        self._web.start()
        self._internet = Internet(lab, hosts, tls=True)
        self._internet.start()
        trusted = self._authorities.root.file
        self._waxseal = Waxseal(lab, binary, trusted)
        self._resolver = PolicyResolver(lab, resolver, trusted)
        self._senders = senders(lab, trusted)
        for sender in self._senders.values():
            sender.start()

    def carry_out(self):
        self._play("first")
        self._change()
        self._play("later")
        for daemon in (self._waxseal, self._resolver):
            daemon.process.stop()
            daemon.start()
        self._play("restarted")

    def _change(self):
        """Publishes what there is later."""
        for row in self.rows:
            if row.case.later:
                self._zones.withdraw(row.case.name)
                row.publish(row.case.later, self._zones, self._web, self._authorities)
        self._zones.write_open()
        self._dns.publish_again()
        self._web.start()
        time.sleep(REMEMBERED)

    def _play(self, name):
        """Mail to all cases by all ways, then questions."""
        phases = [phase for row in self.rows if (phase := row.phase(name))]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(self._senders, pool.map(
                lambda via: self._senders[via].attempts([phase.recipient(via) for phase in phases]), self._senders
            )))
            list(pool.map(self._ask, phases))
        taken = self._internet.taken()
        for phase in phases:
            for via, attempts in found.items():
                recipient = phase.recipient(via)
                phase.hear(via, attempts[recipient], recipient in taken)

    def _ask(self, phase):
        phase.ask_resolver(self._resolver)
        phase.ask_waxseal(self._waxseal)

    def logs(self):
        """What waxseal has logged, and the resolver of the lab."""
        return self._waxseal.log(), self._dns.log()

    def what_else(self):
        """What is wrong with the whole, in sentences."""
        last = [(row.domain, row.phases[-1].expected()["knows"]) for row in self.rows]
        expected = {domain: mode for domain, mode in last if mode not in ("none", "unknown")}
        for domain, mode in self._waxseal.remembered().items():
            if mode != "none" and expected.get(domain) != mode:
                yield f"`waxseal policy list` has {mode} for {domain}, expected {expected.get(domain)}"
        code = self._waxseal.process.stop()
        if code != 0:
            yield f"waxseal ended with exit code {code} after SIGTERM"


def report(rows, logs, what_else, verbose):
    """Prints everything. Returns the number of failures."""
    phases = [phase for row in rows for phase in row.phases]
    print_table(HEAD, [phase.cells() for phase in phases])
    for phase in phases:
        if phase.case.because and phase.name != "restarted":
            print(f"{phase.title}: {phase.case.because}")
    failed = 0
    for phase in phases:
        complaints = list(phase.complaints(logs[0]))
        failed += bool(complaints)
        print_row(phase.title, complaints, [*phase.told, *phase.row.dns_failures(logs[1])], verbose)
    print_row("the whole", what_else, [], verbose)
    failed += bool(what_else)
    print(f"{len(phases) + 1 - failed} passed, {failed} failed")
    return failed


def experiment(lab, cases):
    """The rows of the cases with everything that was said, the logs, and what is wrong with the whole."""
    waxseal, resolver = (os.path.abspath(os.environ[name]) for name in ("WAXSEAL", "RESOLVER"))
    compared = Experiment(lab, waxseal, resolver, [Row(case, number) for number, case in enumerate(cases)])
    compared.carry_out()
    return compared.rows, compared.logs(), list(compared.what_else())


def main():
    options = arguments("tests/interop/mta_sts/run", __doc__, [case.name for case in CASES])
    cases = [case for case in CASES if options.wants(case.name)]
    found = in_a_lab(options, lambda lab: experiment(lab, cases))
    return 1 if found is None or report(*found, options.verbose) else 0


if __name__ == "__main__":
    sys.exit(main())
