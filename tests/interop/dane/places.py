"""Where a case stands in the lab: names of its own in the zones, addresses of its own for its hosts."""

import hashlib

from dane import zones
from dane.hosts import Host


class Place:
    """The names and the hosts of a case."""

    def __init__(self, case, number, shows, default_name):
        """`shows` tells what each MX host shows, the last words perhaps `as NAME`, the name in its certificate."""
        self._case = case
        hosts = (self._host(len(shows) * number + at, words, default_name) for at, words in enumerate(shows))
        self.addresses = {f"IP{at}": host for at, host in enumerate(hosts, start=1)}

    def _host(self, number, words, default_name):
        shows, name = self.shown(words, default_name)
        return Host(number, shows, name)

    def shown(self, words, default_name):
        """What a server shows, and the name in its certificate."""
        shows, _, name = words.rpartition("as ") if "as " in words else (words, "", default_name)
        return set(shows.split()), self.full(name)

    def hosts_in(self, text):
        """The hosts whose addresses a zone text mentions."""
        return [host for token, host in self.addresses.items() if f" {token}" in text]

    def full(self, word):
        """A name of the case as the full name, everything else as it is."""
        above, dot, last = word.rpartition(".")
        if last not in zones.ZONE_WORDS:
            return word
        return f"{above}{dot}{self._case}.{last}.test"

    def put(self, text, lab_zones, authorities, **options):
        """Puts the records of a zone text into the zones."""
        for line in text.splitlines():
            forged = line.startswith("forged ")
            owner, kind, *data = line.removeprefix("forged ").split()
            if kind == "TLSA":
                data = [*data[:3], self._association(data, authorities)]
            put = lab_zones.forge if forged else lab_zones.add
            put(f"{self.full(owner)}.", kind, " ".join(map(self._datum, data)), **options)

    def _datum(self, word):
        if word in self.addresses:
            return self.addresses[word].address
        name = self.full(word)
        return word if name == word else f"{name}."

    def _association(self, data, authorities):
        _, selector, matching, whose = data
        leaves = {f"leaf{at}": host.certificate for at, host in enumerate(self.addresses.values(), start=1)}
        known = {**leaves, "root": authorities.root, "intermediate": authorities.intermediate}
        if whose in known:
            return known[whose].tlsa(selector, matching)
        if whose == "00":
            return whose
        return {"1": hashlib.sha256, "2": hashlib.sha512}[matching](whose.encode()).hexdigest()
