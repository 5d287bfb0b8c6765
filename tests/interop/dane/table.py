"""The cases, each with the verdict that follows from its construction.

In `zone`, a name that ends in the name of a zone (`signed`, `hashed`, `open`, `broken`, `lame`; see zones.py) stands for
one of the case's own names there: `mx.signed` is mx.CASE.signed.test. `forged` before a record: its signature is wrong.
IP1 and IP2 are the addresses of two MX hosts, `mx1` and `mx2` tell what they show (hosts.py), by default a certificate
for mx.signed that the lab's authority issued, and `as NAME` another name. TLSA data are `leaf1`, `leaf2`, `root`,
`intermediate`, or any other word for data that nobody has.
"""

from dataclasses import dataclass

from dane.parties import BLOCKED, DANE, ENCRYPTED, OPPORTUNISTIC


@dataclass(frozen=True)
class Case:
    """One recipient domain and what becomes of its mail."""

    name: str
    expected: str
    zone: str
    mx1: str = ""
    mx2: str = ""
    to: str = "signed"  # the recipient domain
    # Where Postfix differs: its verdict, and why that is right.
    postfix: str = ""
    finger: str = ""
    because: str = ""


MX = "signed MX 10 mx.signed\n"
HOST = MX + "mx.signed A IP1\n"
TLSA = "_25._tcp.mx.signed TLSA "
FROM_OPEN = "open MX 10 mx.signed\nmx.signed A IP1\n"
DOMAIN_ALIAS = "signed CNAME real.signed\nreal.signed MX 10 mx.signed\nmx.signed A IP1\n"
# Below a first host: another one, whose TLSA record matches.
SECOND = "\nsigned MX 20 two.signed\ntwo.signed A IP2\n_25._tcp.two.signed TLSA 3 1 1 leaf2"
ALIAS = MX + "mx.signed CNAME host.far.signed\nhost.far.signed A IP1\n"

CASES = (
    # -- The table of RFC 7672 section 2.2: the MX records ------------------------------------------------------
    Case("mx-forged", BLOCKED, "forged signed MX 10 mx.signed\nmx.signed A IP1\n"),
    Case("domain-broken", BLOCKED, "broken MX 10 mx.signed\nmx.signed A IP1\n", to="broken"),
    Case("domain-lame", BLOCKED, "mx.signed A IP1\n", to="lame"),
    Case("mx-open", DANE, FROM_OPEN + TLSA + "3 1 1 leaf1", to="open"),
    Case("mx-open-mismatch", BLOCKED, FROM_OPEN + TLSA + "3 1 1 wrong", to="open"),
    Case("mx-open-host-open", OPPORTUNISTIC,
         "open MX 10 mx.open\nmx.open A IP1\n_25._tcp.mx.open TLSA 3 1 1 wrong", to="open"),
    Case("mx-open-unusable", ENCRYPTED, FROM_OPEN + TLSA + "1 1 1 00", to="open"),
    Case("null-mx", BLOCKED, "signed MX 0 ."),
    Case("no-mx", DANE, "signed A IP1\n_25._tcp.signed TLSA 3 1 1 leaf1"),
    Case("no-mx-mismatch", BLOCKED, "signed A IP1\n_25._tcp.signed TLSA 3 1 1 wrong"),
    Case("no-mx-usage-2", DANE, "signed A IP1\n_25._tcp.signed TLSA 2 0 1 root", mx1="root-sent as signed"),
    Case("domain-alias", DANE, DOMAIN_ALIAS + TLSA + "3 1 1 leaf1"),
    Case("domain-alias-mismatch", BLOCKED,
         DOMAIN_ALIAS + TLSA + "3 1 1 wrong"),
    Case("domain-alias-usage-2-own-name", DANE,
         DOMAIN_ALIAS + TLSA + "2 0 1 root", mx1="root-sent as signed"),
    Case("domain-alias-usage-2-expanded-name", DANE,
         DOMAIN_ALIAS + TLSA + "2 0 1 root",
         mx1="root-sent as real.signed"),
    Case("domain-alias-into-open", DANE,
         "signed CNAME real.open\nreal.open MX 10 mx.signed\nmx.signed A IP1\n" + TLSA + "3 1 1 leaf1"),
    # -- The host -----------------------------------------------------------------------------------------------
    Case("host-without-address", DANE,
         "signed MX 10 nowhere.signed\nsigned MX 20 mx.signed\nmx.signed A IP1\n" + TLSA + "3 1 1 leaf1"),
    Case("host-open", OPPORTUNISTIC, "signed MX 10 mx.open\nmx.open A IP1"),
    Case("host-open-with-tlsa", OPPORTUNISTIC, "signed MX 10 mx.open\nmx.open A IP1\n_25._tcp.mx.open TLSA 3 1 1 wrong"),
    Case("host-open-tlsa-lame", OPPORTUNISTIC, "signed MX 10 mx.open\nmx.open A IP1\n_tcp.mx.open NS ns3.test."),
    Case("alias-into-open", DANE, MX + "mx.signed CNAME host.open\nhost.open A IP1\n" + TLSA + "3 1 1 leaf1"),
    Case("alias-into-open-mismatch", BLOCKED, MX + "mx.signed CNAME host.open\nhost.open A IP1\n" + TLSA + "3 1 1 wrong"),
    Case("alias-into-open-without-tlsa", OPPORTUNISTIC, MX + "mx.signed CNAME host.open\nhost.open A IP1"),
    # One link that is not signed spoils the chain, and the name at its head is not signed either.
    Case("alias-in-open-into-signed", OPPORTUNISTIC,
         "signed MX 10 mx.open\nmx.open CNAME host.signed\nhost.signed A IP1\n_25._tcp.host.signed TLSA 3 1 1 leaf1"),
    Case("host-forged", BLOCKED, MX + "forged mx.signed A IP1\n" + TLSA + "3 1 1 leaf1"),
    Case("host-broken", BLOCKED, "signed MX 10 mx.broken\nmx.broken A IP1"),
    Case("host-broken-then-good", DANE,
         "signed MX 10 mx.broken\nmx.broken A IP1" + SECOND,
         mx2="as two.signed"),
    # -- No TLSA records ----------------------------------------------------------------------------------------
    Case("no-tlsa", OPPORTUNISTIC, HOST),
    Case("no-tlsa-no-tls", OPPORTUNISTIC, HOST, mx1="no-tls"),
    Case("no-tlsa-nodata", OPPORTUNISTIC, HOST + "_25._tcp.mx.signed TXT nothing"),
    Case("no-tlsa-hashed", OPPORTUNISTIC, "hashed MX 10 mx.hashed\nmx.hashed A IP1", to="hashed"),
    Case("no-tlsa-hashed-nodata", OPPORTUNISTIC,
         "hashed MX 10 mx.hashed\nmx.hashed A IP1\n_25._tcp.mx.hashed TXT nothing", to="hashed"),
    Case("no-tlsa-other-port", OPPORTUNISTIC, HOST + "_465._tcp.mx.signed TLSA 3 1 1 wrong"),
    Case("tlsa-alias-into-open", OPPORTUNISTIC,
         HOST + "_25._tcp.mx.signed CNAME tlsa.open\ntlsa.open TLSA 3 1 1 wrong"),
    # -- TLSA records that cannot be had ------------------------------------------------------------------------
    Case("tlsa-forged", BLOCKED, HOST + "forged " + TLSA + "3 1 1 leaf1"),
    Case("tlsa-lame", BLOCKED, HOST + "_tcp.mx.signed NS ns3.test."),
    Case("tlsa-alias-into-broken", BLOCKED,
         HOST + "_25._tcp.mx.signed CNAME tlsa.broken\ntlsa.broken TLSA 3 1 1 leaf1"),
    Case("tlsa-forged-then-good", DANE,
         HOST + "forged " + TLSA + "3 1 1 leaf1" + SECOND,
         mx2="as two.signed"),
    # -- Usable TLSA records ------------------------------------------------------------------------------------
    Case("usable-match", DANE, HOST + TLSA + "3 1 1 leaf1"),
    Case("usable-match-hashed", DANE,
         "hashed MX 10 mx.hashed\nmx.hashed A IP1\n_25._tcp.mx.hashed TLSA 3 1 1 leaf1", to="hashed"),
    Case("usable-no-tls", BLOCKED, HOST + TLSA + "3 1 1 wrong", mx1="no-tls"),
    Case("mismatch", BLOCKED, HOST + TLSA + "3 1 1 wrong"),
    Case("mismatch-then-match", DANE,
         HOST + TLSA + "3 1 1 wrong" + SECOND,
         mx2="as two.signed", finger=BLOCKED, because="posttls-finger looks at the first host that answers."),
    Case("mismatch-then-open", OPPORTUNISTIC,
         HOST + TLSA + "3 1 1 wrong\nsigned MX 20 two.open\ntwo.open A IP2"),
    # -- Only unusable ones -------------------------------------------------------------------------------------
    Case("unusable-usage-1", ENCRYPTED, HOST + TLSA + "1 1 1 leaf1", mx1="self-signed"),
    Case("unusable-usage-0", ENCRYPTED, HOST + TLSA + "0 0 1 root"),
    Case("unusable-short-digest", ENCRYPTED, HOST + TLSA + "3 1 1 00"),
    Case("unusable-selector", ENCRYPTED, HOST + TLSA + "3 7 1 wrong"),
    Case("unusable-matching-type", ENCRYPTED, HOST + TLSA + "3 1 9 00"),
    Case("unusable-not-a-certificate", ENCRYPTED, HOST + TLSA + "2 0 0 00"),
    Case("unusable-no-tls", BLOCKED, HOST + TLSA + "1 1 1 00", mx1="no-tls"),
    Case("unusable-beside-match", DANE, HOST + TLSA + "1 1 1 wrong\n" + TLSA + "3 1 1 leaf1"),
    Case("unusable-beside-mismatch", BLOCKED, HOST + TLSA + "1 1 1 leaf1\n" + TLSA + "3 1 1 wrong"),
    # -- The base domain ----------------------------------------------------------------------------------------
    Case("alias-expanded-name-first", DANE,
         ALIAS + "_25._tcp.host.far.signed TLSA 3 1 1 leaf1\n" + TLSA + "3 1 1 wrong"),
    Case("alias-expanded-name-decides", BLOCKED,
         ALIAS + "_25._tcp.host.far.signed TLSA 3 1 1 wrong\n" + TLSA + "3 1 1 leaf1"),
    Case("alias-own-name-second", DANE, ALIAS + TLSA + "3 1 1 leaf1"),
    Case("alias-own-name-second-mismatch", BLOCKED, ALIAS + TLSA + "3 1 1 wrong"),
    Case("alias-expanded-name-lame", BLOCKED, ALIAS + "_tcp.host.far.signed NS ns3.test.\n" + TLSA + "3 1 1 leaf1"),
    Case("alias-names-between-do-not-count", OPPORTUNISTIC,
         MX + "mx.signed CNAME mid.signed\nmid.signed CNAME host.signed\nhost.signed A IP1\n"
         "_25._tcp.mid.signed TLSA 3 1 1 wrong"),
    Case("alias-usage-2-for-expanded-name", DANE,
         ALIAS + "_25._tcp.host.far.signed TLSA 2 0 1 root", mx1="root-sent as host.far.signed"),
    Case("alias-usage-2-for-own-name", DANE, ALIAS + TLSA + "2 0 1 root", mx1="root-sent as mx.signed"),
    Case("alias-usage-2-base-expanded-certificate-own", BLOCKED,
         ALIAS + "_25._tcp.host.far.signed TLSA 2 0 1 root", mx1="root-sent as mx.signed"),
    Case("dname-expanded-name", DANE,
         "signed MX 10 mx.moved.signed\nmoved.signed DNAME far.signed\nmx.far.signed A IP1\n"
         "_25._tcp.mx.far.signed TLSA 3 1 1 leaf1"),
    Case("dname-expanded-name-mismatch", BLOCKED,
         "signed MX 10 mx.moved.signed\nmoved.signed DNAME far.signed\nmx.far.signed A IP1\n"
         "_25._tcp.mx.far.signed TLSA 3 1 1 wrong"),
    Case("tlsa-alias", DANE, HOST + "_25._tcp.mx.signed CNAME tlsa.signed\ntlsa.signed TLSA 3 1 1 leaf1"),
    Case("tlsa-alias-usage-2", DANE,
         HOST + "_25._tcp.mx.signed CNAME tlsa.signed\ntlsa.signed TLSA 2 0 1 root", mx1="root-sent"),
    Case("tlsa-alias-mismatch", BLOCKED,
         HOST + "_25._tcp.mx.signed CNAME tlsa.signed\ntlsa.signed TLSA 3 1 1 wrong"),
    # -- Certificates: usage 3 looks at neither name nor time ---------------------------------------------------
    Case("usage-3-expired", DANE, HOST + TLSA + "3 1 1 leaf1", mx1="expired"),
    Case("usage-3-other-name", DANE, HOST + TLSA + "3 0 1 leaf1", mx1="as elsewhere.open"),
    Case("usage-3-self-signed", DANE, HOST + TLSA + "3 1 1 leaf1", mx1="self-signed"),
    Case("usage-3-version-1", DANE, HOST + TLSA + "3 1 1 leaf1", mx1="version-1"),
    Case("usage-3-version-1-mismatch", BLOCKED, HOST + TLSA + "3 1 1 wrong", mx1="version-1"),
    Case("usage-3-certificate", DANE, HOST + TLSA + "3 0 0 leaf1"),
    Case("usage-3-key", DANE, HOST + TLSA + "3 1 0 leaf1"),
    Case("usage-3-sha-512", DANE, HOST + TLSA + "3 1 2 leaf1"),
    Case("usage-3-pins-authority", BLOCKED, HOST + TLSA + "3 0 1 root", mx1="root-sent"),
    # -- Usage 2: the authority has to be sent, unless the record brings it -------------------------------------
    Case("usage-2-root-sent", DANE, HOST + TLSA + "2 0 1 root", mx1="root-sent"),
    Case("usage-2-root-sent-key", DANE, HOST + TLSA + "2 1 1 root", mx1="root-sent"),
    Case("usage-2-root-not-sent", BLOCKED, HOST + TLSA + "2 0 1 root"),
    Case("usage-2-root-key-not-sent", BLOCKED, HOST + TLSA + "2 1 1 root"),
    Case("usage-2-root-in-record", DANE, HOST + TLSA + "2 0 0 root"),
    Case("usage-2-root-key-in-record", DANE, HOST + TLSA + "2 1 0 root"),
    Case("usage-2-intermediate", DANE, HOST + TLSA + "2 1 1 intermediate", mx1="intermediate"),
    Case("usage-2-intermediate-certificate", DANE, HOST + TLSA + "2 0 1 intermediate", mx1="intermediate"),
    Case("usage-2-root-over-intermediate", DANE, HOST + TLSA + "2 0 1 root", mx1="intermediate root-sent"),
    Case("usage-2-root-over-intermediate-not-sent", BLOCKED, HOST + TLSA + "2 0 1 root", mx1="intermediate"),
    Case("usage-2-root-in-record-over-intermediate", DANE, HOST + TLSA + "2 0 0 root", mx1="intermediate"),
    Case("usage-2-pins-leaf", BLOCKED, HOST + TLSA + "2 1 1 leaf1"),
    # The authority is somebody other than the server.
    Case("usage-2-pins-self-signed-leaf", BLOCKED, HOST + TLSA + "2 0 1 leaf1", mx1="self-signed"),
    Case("usage-2-intermediate-in-record", DANE, HOST + TLSA + "2 0 0 intermediate", mx1="intermediate-not-sent"),
    Case("usage-2-expired", BLOCKED, HOST + TLSA + "2 0 1 root", mx1="expired root-sent"),
    Case("usage-2-not-yet-valid", BLOCKED, HOST + TLSA + "2 0 1 root", mx1="not-yet-valid root-sent"),
    Case("usage-2-other-name", BLOCKED, HOST + TLSA + "2 0 1 root", mx1="root-sent as elsewhere.open"),
    Case("usage-2-next-hop-name", DANE, HOST + TLSA + "2 0 1 root", mx1="root-sent as signed"),
    Case("usage-2-next-hop-name-mx-open", BLOCKED,
         FROM_OPEN + TLSA + "2 0 1 root", mx1="root-sent as open", to="open",
         postfix=DANE, finger=DANE,
         because="RFC 7672 section 3.2.2 lets the next-hop domain count only where the MX records are signed. Postfix always "
         "lets it count, which helps no forger: he would name a host of his own, with a certificate for it."),
    Case("usage-2-common-name", DANE, HOST + TLSA + "2 0 1 root", mx1="root-sent no-alternative-name"),
    Case("usage-2-wildcard-name", DANE, HOST + TLSA + "2 0 1 root", mx1="root-sent as *.signed"),
    Case("usage-2-stranger", BLOCKED, HOST + TLSA + "2 0 0 root", mx1="stranger"),
    Case("usage-2-stranger-sent", BLOCKED, HOST + TLSA + "2 0 1 root", mx1="stranger root-sent"),
    Case("usage-2-stranger-key", BLOCKED, HOST + TLSA + "2 1 0 root", mx1="stranger"),
    # -- Sets of records ----------------------------------------------------------------------------------------
    Case("rollover", DANE, HOST + TLSA + "3 1 1 wrong\n" + TLSA + "3 1 1 leaf1"),
    Case("usage-2-fails-usage-3-matches", DANE, HOST + TLSA + "2 0 1 root\n" + TLSA + "3 1 1 leaf1", mx1="expired"),
    Case("digest-agility", BLOCKED, HOST + TLSA + "3 1 2 wrong\n" + TLSA + "3 1 1 leaf1"),
    Case("digest-agility-other-selector", DANE, HOST + TLSA + "3 0 2 wrong\n" + TLSA + "3 1 1 leaf1"),
    Case("digest-agility-not-for-whole", DANE, HOST + TLSA + "3 1 2 wrong\n" + TLSA + "3 1 0 leaf1"),
    Case("twenty-records", DANE,
         HOST + "\n".join(TLSA + f"3 1 1 wrong{n}" for n in range(19)) + "\n" + TLSA + "3 1 1 leaf1"),
    Case("twenty-records-mismatch", BLOCKED, HOST + "\n".join(TLSA + f"3 1 1 wrong{n}" for n in range(20))),
    Case("wildcard-tlsa", DANE, HOST + "*._tcp.mx.signed TLSA 3 1 1 leaf1"),
    Case("wildcard-tlsa-mismatch", BLOCKED, HOST + "*._tcp.mx.signed TLSA 3 1 1 wrong"),
)
