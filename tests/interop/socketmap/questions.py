"""What Postfix asks, what it must hear, and what must become of a message then. One entry is one recipient domain."""

from dataclasses import dataclass

# How a message may leave, in the words of Postfix's log.
PLAINTEXT, UNTRUSTED, TRUSTED, VERIFIED = "plaintext", "Untrusted", "Trusted", "Verified"

# Why Postfix keeps a message, in its own words.
UNPROVEN = "Server certificate not (verified|trusted)"
NOT_OFFERED = "TLS is required, but was not offered"
TABLE_FAILED = "client TLS configuration problem"


@dataclass(frozen=True)
class Sent:
    """Delivered, so sealed."""

    how: str

    def __str__(self):
        return f"sent, {self.how}"


@dataclass(frozen=True)
class Kept:
    """Not delivered, for a reason like this (regular expression)."""

    reason: str

    def __str__(self):
        return f"kept, like /{self.reason}/"


@dataclass(frozen=True)
class Mx:
    """One MX host: what it shows (see `hosts.Host`), the name in its certificate, its TLSA record."""

    shows: str = ""
    named: str = ""  # the host's own name unless it says something else
    tlsa: str = ""  # "own", "wrong" or nothing


@dataclass(frozen=True)
class Case:
    """One recipient domain. In `rule`, `answer` and `policy`, {domain}, {mx1} and {mx2} are names, {print1} and {colons1} the
    SHA-256 of the first host's certificate, {root} the file of the lab's authority."""

    name: str
    answer: str  # "" where there is none, "TEMP" or "PERM" where it is a failure
    fate: object
    zone: str = "open"
    mx: tuple = (Mx(),)
    rule: str = ""
    policy: tuple = ()  # the mode and the `mx` of its MTA-STS policy
    lame: str = ""  # a name below the domain that no name server answers for


PINNED = Mx("self-signed", tlsa="own")
WRONG_PIN = Mx(tlsa="wrong")

CASES = (
    # -- Nothing is asked ---------------------------------------------------------------------------------------
    Case("nothing", "", Sent(UNTRUSTED), mx=(Mx("self-signed"),)),
    Case("nothing-no-tls", "", Sent(PLAINTEXT), mx=(Mx("no-tls"),)),
    # -- Rules --------------------------------------------------------------------------------------------------
    Case("none", "none", Sent(PLAINTEXT), rule="tls = 'none'"),
    Case("may", "may", Sent(TRUSTED), rule="tls = 'may'"),
    Case("may-no-tls", "may", Sent(PLAINTEXT), mx=(Mx("no-tls"),), rule="tls = 'may'"),
    Case("encrypt", "encrypt", Sent(UNTRUSTED), mx=(Mx("self-signed"),), rule="tls = 'encrypt'"),
    Case("encrypt-no-tls", "encrypt", Kept(NOT_OFFERED),
         mx=(Mx("no-tls"),), rule="tls = 'encrypt'"),
    Case("encrypt-new", "encrypt protocols=>=TLSv1.3", Sent(TRUSTED), rule="tls = 'encrypt'\nmin_version = '1.3'"),
    Case("secure", "secure match=hostname servername=hostname", Sent(VERIFIED),
         rule="tls = 'secure'\nmatch = ['hostname']"),
    Case("secure-next-hop", "secure match=nexthop:dot-nexthop servername=hostname", Sent(VERIFIED), rule="tls = 'secure'"),
    Case("secure-other-name", "secure match=hostname servername=hostname", Kept(UNPROVEN),
         mx=(Mx(named="elsewhere.open.test"),), rule="tls = 'secure'\nmatch = ['hostname']"),
    Case("secure-stranger", "secure match=hostname servername=hostname", Kept(UNPROVEN),
         mx=(Mx("stranger"),), rule="tls = 'secure'\nmatch = ['hostname']"),
    Case("secure-own-authority", "secure match=hostname servername=hostname tafile={root}", Sent(VERIFIED),
         mx=(Mx("root-sent"),), rule="tls = 'secure'\nmatch = ['hostname']\nca_file = '{root}'"),
    Case("fingerprint", "fingerprint match={colons1} servername=hostname", Sent(VERIFIED),
         mx=(Mx("self-signed"),), rule="tls = 'fingerprint'\nfingerprints = ['sha256:{print1}']"),
    Case("fingerprint-other", f"fingerprint match={':'.join(['00'] * 32)} servername=hostname", Kept(UNPROVEN),
         mx=(Mx("self-signed"),), rule=f"tls = 'fingerprint'\nfingerprints = ['sha256:{'00' * 32}']"),
    Case("dane-only", "dane-only", Sent(VERIFIED), zone="signed", mx=(PINNED,), rule="tls = 'dane-only'"),
    Case("dane-only-without", "dane-only", Kept("TLSA|DNSSEC"), zone="signed", rule="tls = 'dane-only'"),
    Case("observed", "may", Sent(PLAINTEXT), mx=(Mx("no-tls"),), rule="tls = 'secure'\nmode = 'observe'"),
    Case("routed", "PERM", Kept(TABLE_FAILED), rule="tls = 'encrypt'\nroute = '127.0.0.1.example:25'"),
    # -- DANE ---------------------------------------------------------------------------------------------------
    Case("dane", "dane-only", Sent(VERIFIED), zone="signed", mx=(PINNED,)),
    Case("dane-mismatch", "dane-only", Kept(UNPROVEN), zone="signed", mx=(WRONG_PIN,)),
    Case("dane-no-tls", "dane-only", Kept(NOT_OFFERED),
         zone="signed", mx=(Mx("no-tls", tlsa="wrong"),)),
    Case("dane-for-one-of-two", "dane", Sent(UNTRUSTED), zone="signed", mx=(WRONG_PIN, Mx("self-signed"))),
    Case("dane-floor", "dane-only", Kept("TLSA|not trusted|not verified"), zone="signed", mx=(WRONG_PIN, Mx("self-signed")),
         rule="tls = 'standard'\nfloor = 'encrypt'"),
    # -- MTA-STS ------------------------------------------------------------------------------------------------
    Case("sts", "secure match={mx1} servername=hostname", Sent(VERIFIED), policy=("enforce", "{mx1}")),
    Case("sts-pattern", "secure match={mx1}:{mx2} servername=hostname", Sent(VERIFIED),
         mx=(Mx("no-tls"), Mx()), policy=("enforce", "*.{domain}")),
    Case("sts-other-name", "secure match={mx1} servername=hostname", Kept(UNPROVEN),
         mx=(Mx(named="elsewhere.open.test"),), policy=("enforce", "{mx1}")),
    Case("sts-stranger", "secure match={mx1} servername=hostname", Kept(UNPROVEN),
         mx=(Mx("stranger"),), policy=("enforce", "{mx1}")),
    Case("sts-no-tls", "secure match={mx1} servername=hostname", Kept(NOT_OFFERED),
         mx=(Mx("no-tls"),), policy=("enforce", "{mx1}")),
    # The first host proves its own name, which the policy does not have.
    Case("sts-host-beside", "secure match={mx2} servername=hostname", Sent(VERIFIED),
         mx=(Mx(), Mx()), policy=("enforce", "{mx2}")),
    Case("sts-only-hosts-beside", "TEMP", Kept(TABLE_FAILED), policy=("enforce", "mx.elsewhere.open.test")),
    Case("sts-testing", "", Sent(PLAINTEXT), mx=(Mx("no-tls"),), policy=("testing", "{mx1}")),
    # -- DANE and MTA-STS ---------------------------------------------------------------------------------------
    Case("sts-and-dane", "dane-only", Sent(VERIFIED), zone="signed", mx=(PINNED,), policy=("enforce", "{mx1}")),
    # A good certificate does not make up for the record that does not match.
    Case("sts-and-dane-mismatch", "dane-only", Kept(UNPROVEN),
         zone="signed", mx=(WRONG_PIN,), policy=("enforce", "{mx1}")),
    # -- Look-ups that fail -------------------------------------------------------------------------------------
    # Postfix finds the host; whether there is a policy nobody knows.
    Case("sts-unknown", "TEMP", Kept(TABLE_FAILED), lame="_mta-sts"),
    # waxseal knows the MX records, and that the TLSA records cannot be had.
    Case("tlsa-unknown", "TEMP", Kept("client TLS configuration problem|TLSA lookup error"), zone="signed", lame="_tcp.mx1"),
)

# Keys that are no recipient domains, and get no answer, whatever the rules say of "*.test".
NO_DOMAINS = (".nothing.open.test", ".test", "[mx1.none.open.test]", "[mx1.none.open.test]:25", "none.open.test:25",
              "192.0.2.1", "[127.0.0.1]", "localhost", "ottokar@none.open.test")
