"""The MX hosts of the lab: real certificates, made with openssl for this run, and a Postfix that shows them."""

import hashlib
import re
import subprocess
import time

from lab import listening, run, wait_until
from postfix import Instance

# For `openssl ca`, the one way to choose the dates of a certificate.
CA = """\
[ca]
default_ca = lab
[lab]
database = {directory}/index
new_certs_dir = {directory}
default_md = sha256
rand_serial = yes
unique_subject = no
policy = policy
[policy]
commonName = supplied
"""

# The period of a certificate, by the word for it.
PERIODS = {"expired": (-30, -1), "not-yet-valid": (1, 30)}  # days from now
VALID = (-1, 30)

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

RECEIVING = """\
smtpd_tls_loglevel = 1
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
# Whatever arrives has arrived.
default_transport = discard:
"""


def der(arguments, pem):
    """What openssl makes of a PEM file, in octets."""
    return subprocess.run(["openssl", *arguments, "-outform", "DER"], input=pem, capture_output=True, check=True).stdout


class Certificate:
    """A certificate and its key, and the TLSA data that pin it."""

    def __init__(self, directory, name):
        self.name = name
        self.key = directory / f"{name}.key"
        self.file = directory / f"{name}.pem"

    def pem(self):
        return self.file.read_text()

    def tlsa(self, selector, matching):
        """The association data of a TLSA record."""
        octets = self._octets(selector)
        if matching == "0":
            return octets.hex()
        return {"1": hashlib.sha256, "2": hashlib.sha512}[matching](octets).hexdigest()

    def _octets(self, selector):
        pem = self.file.read_bytes()
        if selector == "0":
            return der(["x509"], pem)
        key = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, capture_output=True, check=True).stdout
        return der(["pkey", "-pubin"], key)


class Authorities:
    """The authority of the lab, its intermediate, and a stranger that calls itself by the same name."""

    def __init__(self, directory):
        self._directory = directory
        directory.mkdir()
        (directory / "index").touch()
        self._config = directory / "ca.conf"
        self._config.write_text(CA.format(directory=directory))
        self.root = self._self_signed("root", "DANE lab root", authority=True)
        self.stranger = self._self_signed("stranger", "DANE lab root", authority=True)
        self.intermediate = Certificate(directory, "intermediate")
        extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
        self._issue(self.intermediate, "DANE lab intermediate", extensions, self.root, VALID)

    def chain(self, file_name, host, shown):
        """The certificate of a host, and the file with its key and everything that the host shows."""
        certificate, sent = self._leaf(file_name, host, shown)
        chain = self._directory / f"{file_name}.chain.pem"
        chain.write_text("".join([certificate.key.read_text(), *(shown.pem() for shown in (certificate, *sent))]))
        chain.chmod(0o600)
        return certificate, chain

    def _leaf(self, file_name, host, shown):
        """The certificate of a host, and the certificates that it sends beside it. `shown` is a set of words."""
        leaf = Certificate(self._directory, file_name)
        if "self-signed" in shown:
            return self._self_signed(file_name, host), []
        if "version-1" in shown:
            return self._version_1(file_name, host), []
        signer = self.stranger if "stranger" in shown else self.root
        sent = [signer] if "root-sent" in shown else []
        if {"intermediate", "intermediate-not-sent"} & shown:
            signer = self.intermediate
        if "intermediate" in shown:
            sent.insert(0, signer)
        extensions = "extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n"
        if "no-alternative-name" not in shown:
            extensions += f"subjectAltName=DNS:{host}\n"
        period = next((days for word, days in PERIODS.items() if word in shown), VALID)
        self._issue(leaf, host, extensions, signer, period)
        return leaf, sent

    def _self_signed(self, file_name, subject, authority=False):
        made = Certificate(self._directory, file_name)
        if authority:
            extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
        else:
            extensions = [f"subjectAltName=DNS:{subject}"]
        run(["openssl", "req", "-x509", *EC, "-days", "2", "-subj", f"/CN={subject[:60]}", "-keyout", made.key,
             "-out", made.file, *(word for extension in extensions for word in ("-addext", extension))])
        return made

    def _version_1(self, file_name, subject):
        """X.509 as it was before there were extensions."""
        made = Certificate(self._directory, file_name)
        request = self._directory / f"{file_name}.csr"
        run(["openssl", "req", "-new", *EC, "-subj", f"/CN={subject[:60]}", "-keyout", made.key, "-out", request])
        run(["openssl", "x509", "-req", "-days", "2", "-in", request, "-signkey", made.key, "-out", made.file])
        return made

    def _issue(self, made, subject, extensions, signer, period):
        request, wanted = (self._directory / f"{made.name}.{kind}" for kind in ("csr", "ext"))
        wanted.write_text(extensions)
        run(["openssl", "req", "-new", *EC, "-subj", f"/CN={subject[:60]}", "-keyout", made.key, "-out", request])
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400)) for days in period)
        run(["openssl", "ca", "-batch", "-notext", "-config", self._config, "-in", request,
             "-cert", signer.file, "-keyfile", signer.key, "-extfile", wanted, "-startdate", start, "-enddate", end,
             "-out", made.file])


class Host:
    """One MX host: an address and what it shows there.

    `shows` are words: `no-tls`, or of `self-signed`, `version-1`, `stranger`, `intermediate`, `intermediate-not-sent`, `root-sent`,
    `expired`, `not-yet-valid` and `no-alternative-name`; `name` is the name in the certificate.
    """

    def __init__(self, number, shows, name):
        self.address = f"127.54.{1 + number // 200}.{1 + number % 200}"
        self.shows = shows
        self.name = name
        self.certificate = None
        self.chain = None

    def certify(self, authorities):
        if "no-tls" not in self.shows:
            self.certificate, self.chain = authorities.chain(f"host-{self.address}", self.name, self.shows)

    def listener(self, tls):
        """Its lines in master.cf; `tls` is false where somebody takes STARTTLS away."""
        offered = tls and self.chain
        lines = [
            f"{self.address}:25 inet n - n - - smtpd",
            f"    -o smtpd_tls_security_level={'may' if offered else 'none'}",
        ]
        if offered:
            lines.append(f"    -o smtpd_tls_chain_files={self.chain}")
        return "\n".join(lines) + "\n"


class Internet(Instance):
    """All MX hosts: one Postfix, one listener per host. `tls` is false where somebody takes STARTTLS away."""

    def __init__(self, lab, hosts, tls):
        self._hosts = hosts
        name = "internet-tls" if tls else "internet-plain"
        super().__init__(lab, name, RECEIVING, "".join(host.listener(tls) for host in hosts), [])

    def start(self):
        super().start()
        for host in self._hosts:
            wait_until(host.address, lambda host=host: listening(host.address, 25), 20)

    def taken(self):
        """The recipients whose mail has arrived."""
        wait_until("what has arrived", lambda: not self.queue(), 20)
        return set(re.findall(r" postfix/discard\S+ \w+: to=<([^>]*)>, .* status=sent ", self.log.read_text()))
