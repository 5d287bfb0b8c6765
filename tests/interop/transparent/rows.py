"""A case in the lab: the names of its domain, its hosts, its policy, and where they can be had."""

import networks
from cases import CASES
from dane.hosts import Host
from mta_sts.web import ADDRESS as WEB
from mta_sts.web import Web

FAMILIES = (4, 6)
RECORDS = {4: "A", 6: "AAAA"}
FIRST = 11  # the last part of the address of the first host

POLICY = "version: STSv1\nmode: enforce\n{mx}max_age: 604800\n"
POLICY_RECORDS = '_mta-sts TXT "v=STSv1; id=1"\nmta-sts A WEB\n'


class Row:
    """A case for one family of addresses."""

    def __init__(self, case, family, number):
        self.case = case
        self.family = family
        self.name = f"{case.name}-{family}"
        self.domain = f"{self.name}.{case.to}.test"
        shown = (case.mx1, case.mx2) if "IP2" in case.zone + case.goes_to else (case.mx1,)
        self.hosts = [self._host(FIRST + 2 * number + which, which, words) for which, words in enumerate(shown)]

    def _host(self, last, which, words):
        shows, _, name = words.rpartition("as ") if "as " in words else (words, "", f"mx{which + 1}")
        host = Host(0, set(shows.split()), self._full(name))
        host.address = networks.on_the_internet(self.family, last, self.case.bypassed)
        return host

    def _full(self, word):
        return f"{word}.{self.domain}"

    def _datum(self, word):
        words = {"00": "00" * 32, "WEB": WEB, "DEAD": networks.dead(self.family, self.case.bypassed)}
        for number, host in enumerate(self.hosts, start=1):
            words[f"IP{number}"] = host.address
            if host.certificate:
                words[f"leaf{number}"] = host.certificate.tlsa("1", "1")
        return words.get(word, f"{self._full(word)}." if word.startswith("mx") else word)

    def put_into(self, lab_zones):
        for line in (self.case.zone + (POLICY_RECORDS if self.case.policy else "")).splitlines():
            owner, kind, *data = line.split()
            owner = f"{self.domain}." if owner == "to" else f"{self._full(owner)}."
            kind = RECORDS[self.family] if kind == "IP" else kind
            lab_zones.add(owner, kind, " ".join(map(self._datum, data)))

    def publish(self, web, authorities):
        """Puts the policy on the web server, if there is one."""
        if self.case.policy:
            name = self._full("mta-sts")
            text = POLICY.format(mx="".join(f"mx: {self._full(host)}\n" for host in self.case.policy.split()))
            web.put(name, Web(), text.encode(), authorities.chain(f"web-{name}", name, set())[1])

    def of_several_hosts(self):
        """Whether the case shows which host comes next, which is for an MTA to know."""
        return "to MX 20" in self.case.zone or "DEAD" in self.case.zone

    def first_host(self):
        """The MX that an MTA connects to first."""
        return self._full("mx0" if "mx0" in self.case.zone else "mx1")

    def address(self):
        """Where that is, if it is alive."""
        return self._datum(self.case.goes_to or "IP1")

    def what_the_mtas_find(self):
        """The line for the name server of the MTAs, where it knows another address."""
        if not self.case.goes_to:
            return ""
        return f'local-data: "{self._full("mx1")}. 60 IN {RECORDS[self.family]} {self.address()}"\n'

    def listeners(self):
        """The lines of its hosts in the master.cf of the internet."""
        return "".join(map(listener, self.hosts))


def rows():
    """All of them."""
    pairs = [(case, family) for case in CASES for family in FAMILIES]
    return [Row(case, family, number) for number, (case, family) in enumerate(pairs)]


def listener(host):
    address = f"[{host.address}]" if ":" in host.address else host.address
    lines = [f"{address}:25 inet n - n - - smtpd", f"    -o smtpd_tls_security_level={'may' if host.chain else 'none'}"]
    if host.chain:
        lines.append(f"    -o smtpd_tls_chain_files={host.chain}")
    return "\n".join(lines) + "\n"
