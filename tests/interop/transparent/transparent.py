"""MTAs whose configuration has nothing about waxseal, and a firewall that sends their mail there; and SOCKS clients.

`run` beside this file starts it, in network and mount namespaces of its own. `networks.py` builds the networks and the
firewall, `cases.py` has the cases, `rows.py` their names and hosts, `mtas.py` and `exim.py` those who send, `gate.py` waxseal and
the judge; certificates and signed zones are those of `../dane`, the web server of the policies that of `../mta_sts`.
"""

import argparse
import os
import signal
import smtplib
import subprocess
import sys

import exim
import networks
from dane import zones
from dane.hosts import Authorities
from dane.parties import recipient
from gate import (
    PASSWORD, PORTS, SOCKS, SOCKS_FOR_OTHERS, USER, Gate, Judge, as_the_case_says, by_an_mta_that_insists,
)
from lab import Lab, LabError, Process, listening, print_logs, run, wait_until
from mta_sts.web import WebServer
from mtas import Curl, Elsewhere, Sender, since
from rows import FAMILIES, rows

RECEIVING = """\
inet_protocols = ipv4, ipv6
mynetworks = 10.9.0.0/16, [fd09::]/16
smtpd_tls_loglevel = 1
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
default_transport = discard:
"""

# Sends a message to each of the recipients in one session; prints the codes that decide.
CLIENT = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, local_hostname="mta.test", timeout=60) as session:
    for recipient in sys.argv[2:]:
        session.ehlo_or_helo_if_needed()
        session.mail("")
        code, _ = session.rcpt(recipient)
        if code == 250:
            code, _ = session.data("Subject: wax\\r\\n\\r\\nhello\\r\\n")
        else:
            session.rset()
        print(code)
"""
# To the host of the first one, and what becomes of each.
IN_ONE_SESSION = {"dane-ok": "250", "in-no-answer-and-not-proven": "451", "opportunistic": "250", "sts-ok": "451", "bypassed": "451"}


class Experiment:
    """The networks, everybody in them, and all rows."""

    def __init__(self, lab, binary, exim_package):
        self._lab, self._binary, self._exim_package = lab, binary, exim_package
        self.rows = rows()
        self.failures = []

    def prepare(self):
        networks.build(self._lab)
        self._authorities = Authorities(self._lab.dir / "certificates")
        self._make_dns()
        self._start_web()
        self._start_internet()
        self.gate = Gate(self._lab, self._binary, self._authorities.root.file)
        self._start_mtas()

    def _make_dns(self):
        lab_zones = zones.Zones(self._lab)
        for row in self.rows:
            for host in row.hosts:
                host.certify(self._authorities)
            row.put_into(lab_zones)
        lab_zones.write()
        self._servers = zones.Servers(self._lab, lab_zones)
        self._resolver_for_the_mtas(lab_zones)

    def _resolver_for_the_mtas(self, lab_zones):
        """The MTAs ask another name server than waxseal. It tells them nothing of DNSSEC, and other addresses of some hosts."""
        directory = self._lab.dir / "unbound-files"
        config = directory / "mtas.conf"
        text = zones.UNBOUND.format(address=networks.GATEWAY, directory=directory, anchor=lab_zones.anchor)
        # It does not validate: a domain that is bogus is to reach waxseal.
        text = text.replace('"validator iterator"', '"iterator"').replace("127.0.0.0/8 allow", "10.9.0.0/16 allow")
        config.write_text(text + "server:\n" + "".join(row.what_the_mtas_find() for row in self.rows))
        server = Process(self._lab, "unbound-mtas", [zones.unconfined(self._lab, "unbound"), "-d", "-p", "-c", config])
        wait_until("unbound", lambda: listening(networks.GATEWAY, 53), 20, server.running)
        resolv_conf = self._lab.dir / "resolv.conf"
        resolv_conf.write_text(f"nameserver {networks.GATEWAY}\n")
        run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"])

    def _start_web(self):
        web = WebServer(self._lab)
        for row in self.rows:
            row.publish(web, self._authorities)
        web.start()

    def _start_internet(self):
        hosts = [host for row in self.rows for host in row.hosts]
        for address in (*(host.address for host in hosts), *(networks.dead(family, True) for family in FAMILIES)):
            networks.address("wax-mx", address)
        listeners = "".join(row.listeners() for row in self.rows)
        self.internet = Elsewhere(self._lab, "wax-mx", "internet", RECEIVING, listeners)
        self.internet.start()
        for host in hosts:
            wait_until(host.address, lambda host=host: answers(host.address), 20)

    def _start_mtas(self):
        networks.address("wax-mta", networks.INSISTING_MTA)
        egress = f"smtp_bind_address = {networks.EGRESS[4]}\nsmtp_bind_address6 = {networks.EGRESS[6]}"
        self._behind = Sender(self._lab, "wax-mta", "behind", networks.MTA)
        self._insisting = Sender(self._lab, "wax-mta", "insisting", networks.INSISTING_MTA, tls="encrypt")
        self._own = Sender(self._lab, None, "own", "127.0.0.2", more=egress)
        self._exim_program = exim.unpack(self._lab, self._exim_package)

    def carry_out(self):
        gateway = ("--from", "gateway")
        for mode in ("redirect", "tproxy"):
            self.gate.lead("hide", mode, *gateway)
            self._postfix(mode, self._behind)
            self._in_one_session(mode)
            self._exim(mode, "wax-mta")
            self.gate.lead("terminate", mode, *gateway)
            self._postfix(f"{mode}, TLS of the MTA ended", self._insisting)
            self.gate.lead("passthrough", mode, *gateway)
            self._postfix(f"{mode}, TLS of the MTA passed through", self._insisting, by_an_mta_that_insists)
        self.gate.lead("hide", "redirect", "--only-user", "postfix")
        self._own_mta()
        networks.no_firewall()
        self._exim("socks", None, f"socks_proxy = {SOCKS.replace(':', ' port=')}")
        password = PASSWORD.replace(":", "::")
        self._exim("socks-with-a-password", "wax-mta",
                   f"socks_proxy = {SOCKS_FOR_OTHERS.replace(':', ' port=')} auth=name name={USER} pass={password}")
        self._curl()
        self._curl_by_name()
        self._loop()

    def _judge(self, way, listener="transparent"):
        return Judge(self.gate, self.internet, way, listener)

    def _close(self, judge):
        judge.close()
        self.failures += judge.failures

    def _postfix(self, way, sender, expected=as_the_case_says):
        """Sends to every domain. What does not arrive stays in the queue, and the reason with it."""
        judge = self._judge(f"Postfix, {way}")
        fates = sender.fates([recipient(row.domain) for row in self.rows])
        waiting = sender.waiting()
        for row in self.rows:
            judge.judge(row, fates[recipient(row.domain)], expected(row))
            to_come = waiting.pop(recipient(row.domain), None)
            if (expected(row).status == "deferred") != (to_come is not None and expected(row).told in to_come):
                self._fail(f"in the queue of {sender.name}", f"{row.name}: {to_come}")
        self._close(judge)
        sender.forget()

    def _own_mta(self):
        """The gateway's own MTA, which has an egress address of its own: the MX sees it."""
        start = self.internet.log.stat().st_size
        self._postfix("on the gateway", self._own)
        log = since(self.internet.log, start)
        for family, address in networks.EGRESS.items():
            self._check(f"source address, IPv{family}", f"[{address}]" in log, f"no connection came from {address}")

    def _exim(self, way, network, by_socks=""):
        """The same mail by another MTA. It takes a 451 to RCPT for the word of the whole domain."""
        judge = self._judge(f"Exim, {way}", "socks5" if by_socks else "transparent")
        mta = exim.Exim(self._lab, self._exim_program, f"exim-{way}", network, by_socks)
        for row in self.rows:
            if not row.case.name.startswith("next-mx-"):
                judge.judge(row, mta.send(recipient(row.domain)), as_the_case_says(row))
        self._close(judge)

    def _curl(self):
        """To where an MTA would go first."""
        judge = self._judge("curl", "socks5")
        curl = Curl(self._lab, "--socks5")
        for row in self.rows:
            if not row.of_several_hosts():
                judge.judge(row, curl.send(recipient(row.domain), row.address()), as_the_case_says(row))
        self._close(judge)

    def _curl_by_name(self):
        """waxseal looks up the address, and believes nothing that is bogus."""
        judge = self._judge("curl by name", "socks5")
        curl = Curl(self._lab, "--socks5-hostname")
        for row in self.rows:
            if row.case.to != zones.BROKEN and not row.of_several_hosts() and not row.case.goes_to:
                judge.judge(row, curl.send(recipient(row.domain), row.first_host()), as_the_case_says(row))
        self._close(judge)
        for row in self.rows:
            if row.case.name in ("bogus", "first-mx-is-dead"):
                start = self.gate.process.log.stat().st_size
                status, line = curl.send(recipient(row.domain), row.first_host())
                good = status == "deferred" and line.rstrip().endswith("(4)")
                good = good and row.first_host() in since(self.gate.process.log, start)
                self._check(f"curl by the name of a host that cannot be reached, {row.name}", good, line)

    def _in_one_session(self, way):
        """Domains with policies of their own, one MTA connection to one MX."""
        for family in FAMILIES:
            of_family = {row.case.name: row for row in self.rows if row.family == family}
            to = [of_family[name] for name in (*IN_ONE_SESSION, "dane-ok")]
            words = [to[0].address(), *(recipient(row.domain) for row in to)]
            codes = run(networks.inside("wax-mta", [sys.executable, "-c", CLIENT, *words])).split()
            good = codes == [*IN_ONE_SESSION.values(), "250"]
            self._check(f"{way}, several domains in one session, IPv{family}", good, codes)

    def _loop(self):
        """A firewall that lets nobody escape, waxseal least of all: a clear end, and no avalanche."""
        networks.firewall(networks.LOOP.format(port=PORTS["redirect", "hide"]))
        for row in self.rows[:2]:
            try:
                smtplib.SMTP(row.address(), 25, timeout=30)
                reply = "a greeting"
            except smtplib.SMTPConnectError as refused:
                reply = f"{refused.smtp_code} {refused.smtp_error.decode()}"
            self._check(f"loop, IPv{row.family}", reply.startswith("421 4.4.6 this connection is waxseal's own"), reply)

    def _check(self, what, good, otherwise):
        print("ok" if good else "FAILED", f" {what}")
        if not good:
            self._fail(what, otherwise)

    def _fail(self, what, why):
        print(f"FAILED  {what}\n    {why}")
        self.failures.append(f"{what}: {why}")


def answers(address):
    try:
        with smtplib.SMTP(address, 25, timeout=5):
            return True
    except OSError:
        return False


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/transparent/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def main():
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(arguments().keep)
    experiment = Experiment(lab, os.path.abspath(os.environ["WAXSEAL"]), os.environ["EXIM_PACKAGE"])
    try:
        experiment.prepare()
        experiment.carry_out()
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"the lab is broken: {error}")
        print_logs(lab)
        return 1
    finally:
        lab.close()
    print("everything as expected" if not experiment.failures else f"{len(experiment.failures)} differences")
    return 1 if experiment.failures else 0


if __name__ == "__main__":
    sys.exit(main())
