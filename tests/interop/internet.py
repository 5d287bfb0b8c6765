"""The internet of the lab: which domains there are, which MX serve them, who certifies whom.

`dns.py`, `postfix.py` and the cases read it from here, so that a domain is described once.
"""

from dataclasses import dataclass

from lab import run

GATE = "127.25.0.1"  # waxseal, the sending MTAs and the name server
DEAD = ("127.25.0.21", "127.25.0.22")  # nothing listens there


@dataclass(frozen=True)
class Mx:
    """One MX host: a listener of the receiving Postfix."""

    host: str
    address: str
    tls: str  # smtpd_tls_security_level: none, may, encrypt
    certified_as: str = ""  # the name in its certificate
    certified_by: str = "lab"  # the authority: waxseal trusts "lab" and not "other"


TLS = Mx("mx-tls.example", "127.25.0.11", "may", "mx-tls.example")
ENCRYPT = Mx("mx-encrypt.example", "127.25.0.12", "encrypt", "mx-encrypt.example")
PLAIN = Mx("mx-plain.example", "127.25.0.13", "none")
SECURE = Mx("mx-secure.example", "127.25.0.14", "may", "mx-secure.example")
WRONG = Mx("mx-wrong.example", "127.25.0.15", "may", "elsewhere.example")
STRANGER = Mx("mx-stranger.example", "127.25.0.16", "may", "mx-stranger.example", "other")
MXS = (TLS, ENCRYPT, PLAIN, SECURE, WRONG, STRANGER)

# Domains by the MX that holds their mailboxes.
DOMAINS = {
    "tls.example": TLS,
    "encrypt.example": ENCRYPT,
    "plain.example": PLAIN,
    "plain-but-must.example": PLAIN,  # a rule demands TLS
    "secure.example": SECURE,
    "wrongname.example": WRONG,
    "stranger.example": STRANGER,
    "careful.example": STRANGER,  # as stranger.example, but its rule only observes
    "two-mx.example": TLS,  # the second; the first is dead
    "many1.example": TLS,
    "many2.example": TLS,
    "many3.example": PLAIN,
    "many4.example": ENCRYPT,
    "many5.example": SECURE,
}

# Domains whose MX records are not simply "10 host".
MX_RECORDS = {
    "two-mx.example": ("10 mx-dead1.example.", "20 mx-tls.example."),
    "dead.example": ("10 mx-dead1.example.", "20 mx-dead2.example."),
    "nullmx.example": ("0 .",),
}

# Mailboxes in every domain. The names are odd so that a search of waxseal's log for them means something.
MAILBOXES = ("anneliese", "bartholomew", "cunegonde")
UNKNOWN = "nepomuk"  # a mailbox nowhere
SENDER = "melchior@sender.example"

LOCAL_PARTS = (*MAILBOXES, UNKNOWN, SENDER.partition("@")[0])


def mx_records(domain):
    """The MX records of a domain, in zone file notation."""
    return MX_RECORDS.get(domain) or (f"10 {DOMAINS[domain].host}.",)


class Authority:
    """A certificate authority, made with openssl for this run."""

    def __init__(self, directory, name):
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        self._directory = directory
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"])

    def issue(self, name):
        """A file with private key and certificate for a DNS name, the way smtpd_tls_chain_files wants it."""
        key, request, chain = (self._directory / f"{name}.{kind}" for kind in ("key", "csr", "chain.pem"))
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-keyout", key, "-out", request])
        leaf = run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                    "-CAcreateserial", "-days", "1", "-extfile", extensions])
        chain.write_text(key.read_text() + leaf)
        chain.chmod(0o600)
        return chain
