"""A real Postfix whose configuration has nothing about waxseal, and a firewall that sends its mail there.

`run` beside this file starts it, in network and mount namespaces of its own. `networks.py` builds the networks and the
firewall, `cases.py` has the cases; certificates and signed zones are those of `../dane`.
"""

import argparse
import os
import re
import signal
import smtplib
import subprocess
import sys

import networks
from cases import CASES
from dane import zones
from dane.hosts import Authorities, Host
from dane.parties import recipient
from exim import Exim
from lab import Lab, LabError, Process, listening, print_logs, run, wait_until
from postfix import Instance
from sending import send

PATIENCE = 120
FAMILIES = (4, 6)
# What they show is which host comes next, which is for an MTA to know.
OF_SEVERAL_HOSTS = ("first-mx-is-dead", "next-mx-after-a-policy")
RECORDS = {4: "A", 6: "AAAA"}

WAXSEAL = """\
hostname = "gate.test"
policies = "policies"

# The listeners are for both families.
[[listener]]
kind = "transparent"
listen = "[::]:10026"
allow = ["10.9.0.0/16", "fd09::/16"]

[[listener]]
kind = "transparent"
mode = "tproxy"
listen = "[::]:10027"
allow = ["10.9.0.0/16", "fd09::/16"]

[[listener]]
kind = "socks5"
listen = "127.0.0.1:1080"

[admin]
listen = "127.0.0.1:9825"

[store]
path = ":memory:"

[dns]
servers = ["{resolver}:53"]
dnssec = "trust-ad"

[mta_sts]
enabled = false

[mx]
allow_networks = ["10.9.0.0/16", "fd09::/16"]
dead_for = "0s"

[tls]
roots = "none"
"""

# All that an MTA in front of waxseal should know: that TLS is somebody else's.
SENDING = """\
inet_protocols = ipv4, ipv6
mynetworks = 127.0.0.0/8, 10.9.0.0/16
smtp_tls_security_level = none
transport_maps = texthash:{transport}
{more}
"""

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


class Elsewhere(Instance):
    """A Postfix in one of the other networks."""

    def __init__(self, lab, network, name, main, master):
        self._network = network
        super().__init__(lab, name, main, master, [])

    def start(self):
        run(networks.inside(self._network, ["postfix", "-c", self.config, "start"]))


class Row:
    """A case for one family of addresses."""

    def __init__(self, case, family, number):
        self.case = case
        self.family = family
        self.name = f"{case.name}-{family}"
        self.domain = f"{self.name}.{case.to}.test"
        self.hosts = [self._host(number, 0, case.mx1), self._host(number, 1, case.mx2)]

    def _host(self, number, which, shows):
        host = Host(0, set(shows.split()), f"mx{which + 1}.{self.domain}")
        last = 11 + 2 * number + which
        host.last = str(last)
        host.address = f"10.9.2.{last}" if self.family == 4 else f"fd09:2::{last}"
        return host

    def _datum(self, word):
        words = {"IP1": self.hosts[0].address, "IP2": self.hosts[1].address, "00": "00" * 32}
        words["DEAD"] = "10.9.2.9" if self.family == 4 else "fd09:2::9"
        for number, host in enumerate(self.hosts, start=1):
            if host.certificate:
                words[f"leaf{number}"] = host.certificate.tlsa("1", "1")
        return words.get(word, f"{word}.{self.domain}." if word.startswith("mx") else word)

    def put_into(self, lab_zones):
        for line in self.case.zone.splitlines():
            owner, kind, *data = line.split()
            owner = f"{self.domain}." if owner == "to" else f"{owner}.{self.domain}."
            kind = RECORDS[self.family] if kind == "IP" else kind
            lab_zones.add(owner, kind, " ".join(map(self._datum, data)))

    def address(self):
        """Where an MTA goes that does without MX records."""
        return self._datum(self.case.goes_to or "IP1")

    def transport(self):
        """The line of the transport table, for a case that goes past DNS."""
        if self.case.goes_to:
            return f"{self.domain} smtp:[{self._datum(self.case.goes_to)}]\n"
        return ""


def listener(host):
    """The lines of a host in master.cf."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    lines = [f"{address}:25 inet n - n - - smtpd", f"    -o smtpd_tls_security_level={'may' if host.chain else 'none'}"]
    if host.chain:
        lines.append(f"    -o smtpd_tls_chain_files={host.chain}")
    return "\n".join(lines) + "\n"


class Experiment:
    """The networks, everybody in them, and all rows."""

    def __init__(self, lab, binary):
        self._lab = lab
        self._binary = binary
        pairs = [(case, family) for case in CASES for family in FAMILIES]
        self.rows = [Row(case, family, number) for number, (case, family) in enumerate(pairs)]
        self.failures = []

    def prepare(self):
        networks.build(self._lab)
        self._make_dns()
        self._internet()
        self._waxseal()
        transport = self._lab.dir / "transport"
        transport.write_text("".join(row.transport() for row in self.rows))
        egress = f"smtp_bind_address = {networks.EGRESS[4]}\nsmtp_bind_address6 = {networks.EGRESS[6]}"
        self._senders = {
            "behind": self._sender("wax-mta", "behind", networks.MTA, transport, ""),
            "own": self._sender(None, "own", "127.0.0.2", transport, egress),
        }

    def _make_dns(self):
        authorities = Authorities(self._lab.dir / "certificates")
        lab_zones = zones.Zones(self._lab)
        for row in self.rows:
            for host in row.hosts:
                host.certify(authorities)
                networks.address("wax-mx", 2, host.last)
            row.put_into(lab_zones)
        lab_zones.write()
        self._servers = zones.Servers(self._lab, lab_zones)
        self._resolver_for_the_mtas(lab_zones)

    def _resolver_for_the_mtas(self, lab_zones):
        """The MTAs ask another name server than waxseal, which tells them nothing of DNSSEC."""
        directory = self._lab.dir / "unbound-files"
        config = directory / "mtas.conf"
        text = zones.UNBOUND.format(address=networks.GATEWAY, directory=directory, anchor=lab_zones.anchor)
        # It does not validate: a domain that is bogus is to reach waxseal.
        text = text.replace('"validator iterator"', '"iterator"').replace("127.0.0.0/8 allow", "10.9.0.0/16 allow")
        config.write_text(text)
        server = Process(self._lab, "unbound-mtas", [zones.unconfined(self._lab, "unbound"), "-d", "-p", "-c", config])
        wait_until("unbound", lambda: listening(networks.GATEWAY, 53), 20, server.running)
        resolv_conf = self._lab.dir / "resolv.conf"
        resolv_conf.write_text(f"nameserver {networks.GATEWAY}\n")
        run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"])

    def _internet(self):
        hosts = [host for row in self.rows for host in row.hosts]
        internet = Elsewhere(self._lab, "wax-mx", "internet", RECEIVING, "".join(map(listener, hosts)))
        internet.start()
        self.internet = internet
        for host in hosts:
            wait_until(host.address, lambda host=host: answers(host.address), 20)

    def _waxseal(self):
        directory = self._lab.dir / "waxseal"
        (directory / "policies").mkdir(parents=True)
        config = directory / "waxseal.toml"
        config.write_text(WAXSEAL.format(resolver=zones.RESOLVER))
        self.waxseal = Process(self._lab, "waxseal-daemon", [self._binary, "run", "--config", config])
        wait_until("waxseal", lambda: listening("127.0.0.1", 9825), 30, self.waxseal.running)

    def _sender(self, network, name, address, transport, more):
        main = SENDING.format(transport=transport, more=more)
        master = f"{address}:25 inet n - n - - smtpd\n"
        if network:
            sender = Elsewhere(self._lab, network, f"sender-{name}", main, master)
        else:
            sender = Instance(self._lab, f"sender-{name}", main, master, [])
        sender.start()
        wait_until(sender.name, lambda: listening(address, 25), 20)
        sender.address = address
        return sender

    def carry_out(self):
        for way, chains, sender in (
            ("REDIRECT", [networks.REDIRECT], "behind"),
            ("TPROXY", [networks.TPROXY], "behind"),
            ("own MTA", [networks.OWN], "own"),
        ):
            networks.firewall(*chains)
            self._round(way, self._senders[sender])
            if sender == "behind":
                self._one_connection(way)
        networks.firewall(networks.REDIRECT)
        self._through_exim()
        networks.firewall()
        self._through_socks()
        self._loop()

    def _through_exim(self):
        """The same mail by another MTA. It takes a 451 to RCPT for the word of the whole domain, and goes by DNS alone."""
        exim = Exim(self._lab, os.environ["EXIM_PACKAGE"])
        for row in self.rows:
            if row.case.name != "next-mx-after-a-policy" and not row.case.goes_to:
                start = self._mark(self.waxseal.log)
                fate = exim.send(recipient(row.domain))
                self._wait_for_a_line("transparent", row, start)
                self._judge("Exim", row, fate, since(*start))

    def _wait_for_a_line(self, listener, row, start):
        """waxseal writes it when the MTA is gone."""
        line = rf'listener="{listener}".* domain={re.escape(row.domain)} '
        wait_until(f"a line about {row.domain}", lambda: re.search(line, since(*start)), 20)

    def _through_socks(self):
        """The same hosts by curl, which speaks SOCKS 5 and looks up no MX: to where an MTA would go first."""
        message = self._lab.dir / "message"
        message.write_text("Subject: wax\r\n\r\nhello\r\n")
        for row in self.rows:
            if row.case.name not in OF_SEVERAL_HOSTS:
                start = self._mark(self.waxseal.log)
                fate = by_curl(row, message)
                self._wait_for_a_line("socks5", row, start)
                self._judge("curl", row, fate, since(*start), "socks5")

    def _round(self, way, sender):
        """Sends to every domain, and compares."""
        logs = [self._mark(log) for log in (sender.log, self.waxseal.log, self.internet.log)]
        for row in self.rows:
            code, text = send(sender.address, recipient(row.domain))
            if code != 250:
                raise LabError(f"{sender.name} refuses: {code} {text}")
        wanted = {recipient(row.domain) for row in self.rows}
        wait_until(way, lambda: wanted <= set(fates(since(*logs[0]))), PATIENCE)
        told = fates(since(*logs[0]))
        for row in self.rows:
            self._judge(way, row, told[recipient(row.domain)], since(*logs[1]))
        if sender.name == "sender-own":
            self._sources(since(*logs[2]))
        run(["postsuper", "-c", sender.config, "-d", "ALL"])

    def _judge(self, way, row, fate, log, listener="transparent"):
        status, line = fate
        case = row.case
        wrong = []
        if status != case.status or case.told not in line:
            wrong.append(f"the MTA: {line}")
        mine = [line for line in log.splitlines() if row.domain in line]
        if case.proof and not any(case.proof in line for line in mine):
            wrong += [f"waxseal does not say {case.proof}:", *mine]
        if not any(f'listener="{listener}"' in line for line in mine):
            wrong.append("waxseal has not seen it")
        print(f"{'FAILED' if wrong else 'ok'}  {way}  {row.name}", *wrong, sep="\n    ")
        self.failures += wrong

    def _one_connection(self, way):
        """Three domains with policies of their own, one MTA connection to one MX."""
        for family in FAMILIES:
            rows = {row.case.name: row for row in self.rows if row.family == family}
            to = [rows[name] for name in ("dane-ok", "in-no-answer-and-not-proven", "opportunistic", "dane-ok")]
            words = [to[0].hosts[0].address, *(recipient(row.domain) for row in to)]
            codes = run(networks.inside("wax-mta", [sys.executable, "-c", CLIENT, *words])).split()
            good = codes == ["250", "451", "250", "250"]
            print("ok" if good else "FAILED", f" {way}  several domains in one connection, IPv{family}")
            if not good:
                self.failures.append(f"several domains in one connection: {codes}")

    def _sources(self, log):
        """The MX saw the egress address of the MTA."""
        for family, address in networks.EGRESS.items():
            seen = f"[{address}]" in log
            print("ok" if seen else "FAILED", f"source address, IPv{family}")
            if not seen:
                self.failures.append(f"no connection came from {address}")

    def _loop(self):
        """A firewall that lets nobody escape, waxseal least of all: a clear end, and no avalanche."""
        networks.firewall(networks.LOOP)
        for row in self.rows[:2]:
            try:
                smtplib.SMTP(row.hosts[0].address, 25, timeout=30)
                reply = "a greeting"
            except smtplib.SMTPConnectError as refused:
                reply = f"{refused.smtp_code} {refused.smtp_error.decode()}"
            good = reply.startswith("421 4.4.6 this connection is waxseal's own")
            print("ok" if good else "FAILED", f"loop, IPv{row.family}")
            if not good:
                self.failures.append(f"loop: {reply}")

    @staticmethod
    def _mark(log):
        return log, log.stat().st_size


def by_curl(row, message):
    """One message through the `socks5` listener: (status, the reply that decides)."""
    address = row.address()
    url = f"smtp://[{address}]:25/mta.test" if ":" in address else f"smtp://{address}:25/mta.test"
    command = ["curl", "--verbose", "--silent", "--max-time", str(PATIENCE), "--socks5", "127.0.0.1:1080", "--mail-from", "",
               "--mail-rcpt", recipient(row.domain), "--upload-file", message, url]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    replies = [line[2:] for line in done.stderr.splitlines() if re.match("< [245]", line)]
    bad = [reply for reply in replies if reply[0] in "45"]
    if done.returncode == 0:
        # The last good word is that to the end of data: curl says QUIT behind it.
        return "sent", " ".join(replies)
    return "deferred", " ".join(bad) or done.stderr


def answers(address):
    try:
        with smtplib.SMTP(address, 25, timeout=5):
            return True
    except OSError:
        return False


def since(log, start):
    return log.read_bytes()[start:].decode(errors="replace")


def fates(log):
    """What the log says became of each recipient, at first: recipient -> (status, line)."""
    known = {}
    for line in log.splitlines():
        found = re.search(r": to=<([^>]*)>, .* status=(\w+) ", line)
        if found and "/smtp[" in line:
            known.setdefault(found[1], (found[2], line))
    return known


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/transparent/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def main():
    # A runner that gives up sends SIGTERM; the servers must be stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(arguments().keep)
    experiment = Experiment(lab, os.path.abspath(os.environ["WAXSEAL"]))
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
