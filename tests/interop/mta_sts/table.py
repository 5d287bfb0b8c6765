"""The cases: one recipient domain each, what there is of a policy, and what must become of its mail.

In `zone`, `sts` and `policy`, a name that ends in the name of a zone (`open`, `signed`; see dane/zones.py) stands for one of the
case's own names there: `mx.open` is mx.CASE.open.test. IP1 and IP2 are the addresses of two MX hosts, `mx1` and `mx2` tell
what they show (dane/hosts.py), by default a certificate for mx.open that the lab's authority issued, and `as NAME` another name.
WEB is the address of the web server, NOBODY one where nobody listens.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts.parties import BLOCKED, DANE, OPEN, PKIX
from mta_sts.web import Web


@dataclass(frozen=True)
class Case:
    """One recipient domain, or what happens to it later."""

    name: str
    expected: str  # the verdict; with a host where there are two
    policy: str = ""
    web: Web = Web()
    zone: str = "open MX 10 mx.open\nmx.open A IP1\n"
    sts: str = '_mta-sts.open TXT "v=STSv1; id=1"\nmta-sts.open A WEB\n'
    mx1: str = ""
    mx2: str = ""
    to: str = "open"  # the recipient domain
    written: str = ""  # how the sender writes it, if otherwise
    # Of waxseal: the policy that it knows (by default `enforce` where something is demanded, else `none`), and
    # regular expressions for its reply to the MTA and its log.
    known: str = ""
    reply: str = ""
    log: str = ""
    # Where the resolver or the Postfix that asks it differ: what they say (by default the same), and why.
    resolver: str = ""
    postfix: str = ""
    because: str = ""
    # What is published later instead, and who hears of it: everybody as they are (`later`), or started anew (`restarted`).
    later: Case | None = None
    phases: tuple = ("later", "restarted")


def policy(*mx, mode="enforce", max_age="604800", more=""):
    """The text of a policy."""
    hosts = "".join(f"mx: {pattern}\n" for pattern in mx)
    return f"version: STSv1\nmode: {mode}\n{hosts}max_age: {max_age}\n{more}"


GOOD = policy("mx.open")
ANY = policy("*.open")
TXT = '_mta-sts.open TXT "v=STSv1; id=1"\n'
WEB = "mta-sts.open A WEB\n"
LAME = "_mta-sts.open NS ns3.test.\n"
HOST = "open MX 10 mx.open\nmx.open A IP1\n"
# Below a first host: another one.
TWO = HOST + "open MX 20 two.open\ntwo.open A IP2\n"
UNICODE = policy("mx.open", more="contact: Bürgerbüro\n")
BOTH = policy("mx.open", "two.open")
# What a forger would have: the way to a host of his own.
FORGED = "open MX 10 mx.open\nmx.open A IP2\n"
FORGER = {"mx2": "stranger"}
NEW_ID = '_mta-sts.open TXT "v=STSv1; id=2"\n'
WEB_GONE = "mta-sts.open A NOBODY\n"

NO_STARTTLS = r"451 4\.7\.4 mx\.\S+: TLS is required, but STARTTLS is not offered"
NOT_NAMED = r"451 4\.7\.5 \S+: the MTA-STS policy of \S+ names other MX hosts, and not this one"
OTHER_NAME = r"451 4\.7\.5 mx\.\S+: the certificate is for another name"
EXPIRED = r"451 4\.7\.5 mx\.\S+: the certificate has expired"
UNTRUSTED = r"451 4\.7\.5 mx\.\S+: the certificate is not trusted"

# Why the two differ, where more than one case has the same reason.
ANY_NAME_OF_POLICY = (
    "RFC 8461 section 4.1 holds the MX host's name against the policy, and 4.2 the certificate against that name. The resolver "
    "hands the policy's names to Postfix as `match=`, and Postfix holds the certificate against any of them and the host "
    "against none; since 3.10.5 it can do better, if the resolver's `tlsrpt` is on."
)
COMMON_NAME = (
    "RFC 8461 sections 3.3 and 4.2 want a DNS-ID in subjectAltName. Python's OpenSSL and Postfix fall back on the common name "
    "where there is none."
)
LAST_ONE_COUNTS = "RFC 8461 section 3.2: of a key that stands twice the first line counts. The resolver takes the last one."
NOT_A_POLICY = (
    "The grammar of RFC 8461 section 3.2 has no such line, so that this is no valid policy, and half of one is not followed. "
    "The resolver passes over what it does not understand."
)
DANE_FIRST = (
    "RFC 8461 section 2: MTA-STS does not override DANE. A TLS policy table of Postfix does: for this domain it no longer looks "
    "at TLSA records."
)


def faulty(name, text, **options):
    """A policy text that is no policy, for a host with a bad certificate: mail leaves."""
    return Case(name, OPEN, text, mx1="stranger", **options)


def web_fault(name, web=Web(), log="", **options):
    """A good policy that cannot be had: mail leaves to a host that would not have proven its name."""
    return Case(name, OPEN, GOOD, web, mx1="stranger", log=rf"the MTA-STS policy cannot be fetched: .*{log}", **options)


def dane(name, expected, pinned, text=policy("mx.signed"), **options):
    """A host with a TLSA record, in a signed zone, and a policy beside it."""
    zone = f"signed MX 10 mx.signed\nmx.signed A IP1\n_25._tcp.mx.signed TLSA 3 1 1 {pinned}\n"
    options = {"mx1": "as mx.signed", "known": "enforce", **options}
    return Case(name, expected, text, zone=zone, sts=(TXT + WEB).replace(".open", ".signed"), to="signed", **options)


def international(name, expected, mx1="", **options):
    """A domain with a name that is not ASCII."""
    zone = "xn--bro-hoa.open MX 10 mx.xn--bro-hoa.open\nmx.xn--bro-hoa.open A IP1\n"
    sts = (TXT + WEB).replace("sts.open", "sts.xn--bro-hoa.open")
    host = "mx.xn--bro-hoa.open"
    return Case(name, expected, policy(host), zone=zone, sts=sts, to="xn--bro-hoa.open", mx1=f"{mx1} as {host}".strip(), **options)


CASES = (
    # -- Modes ------------------------------------------------------------------------------------------------
    Case("enforce", PKIX, GOOD),
    Case("enforce-untrusted", BLOCKED, GOOD, mx1="stranger", reply=UNTRUSTED),
    Case("testing", OPEN, policy("mx.open", mode="testing"), known="testing", log="mta_sts_testing=\"passed\""),
    Case("testing-untrusted", OPEN, policy("mx.open", mode="testing"), mx1="stranger", known="testing", log="would have forbidden"),
    Case("testing-no-starttls", OPEN, policy("mx.open", mode="testing"), mx1="no-tls", known="testing", log="would have forbidden"),
    Case("testing-not-named", OPEN, policy("other.open", mode="testing"), known="testing", log="would have forbidden"),
    Case("none", OPEN, policy("mx.open", mode="none"), mx1="stranger"),
    Case("none-without-mx", OPEN, policy(mode="none"), mx1="stranger"),
    Case("no-record", OPEN, GOOD, sts=WEB, mx1="stranger"),
    # -- Which hosts the policy names ---------------------------------------------------------------------------
    Case("wildcard", PKIX, ANY),
    Case("wildcard-certificate", PKIX, GOOD, mx1="as *.open"),
    Case("wildcard-two-labels", BLOCKED, ANY, zone="open MX 10 mx.far.open\nmx.far.open A IP1\n", mx1="as mx.far.open",
         reply=NOT_NAMED, postfix=PKIX,
         because="RFC 8461 section 4.1: `*.` stands for one label. The resolver makes `.name` of `*.name`, which for Postfix "
         "stands for everything below."),
    Case("wildcard-no-label", BLOCKED, ANY, zone="open MX 10 open\nopen A IP1\n", mx1="as open", reply=NOT_NAMED),
    Case("capitals", PKIX, policy("MX.open")),
    Case("not-named", BLOCKED, policy("other.open"), reply=NOT_NAMED),
    Case("not-named-certificate-of-named", BLOCKED, policy("other.open"), mx1="as other.open", reply=NOT_NAMED,
         postfix=PKIX, because=ANY_NAME_OF_POLICY),
    Case("first-not-named", f"{PKIX} two.open", policy("two.open"), zone=TWO, mx2="as two.open"),
    Case("first-fails", f"{PKIX} two.open", BOTH, zone=TWO, mx1="stranger", mx2="as two.open"),
    Case("both-fail", BLOCKED, BOTH, zone=TWO, mx1="stranger", mx2="expired as two.open", reply=r"451 4\.7\.5"),
    Case("host-is-alias", PKIX, GOOD, zone="open MX 10 mx.open\nmx.open CNAME real.open\nreal.open A IP1\n"),
    Case("host-is-alias-of-named", BLOCKED, policy("real.open"),
         zone="open MX 10 mx.open\nmx.open CNAME real.open\nreal.open A IP1\n", mx1="as real.open", reply=NOT_NAMED,
         postfix=PKIX, because=ANY_NAME_OF_POLICY),
    Case("no-mx", PKIX, policy("open"), zone="open A IP1\n", mx1="as open"),
    # -- What the MX host shows ---------------------------------------------------------------------------------
    Case("no-starttls", BLOCKED, GOOD, mx1="no-tls", reply=NO_STARTTLS),
    Case("expired", BLOCKED, GOOD, mx1="expired", reply=EXPIRED),
    Case("not-yet-valid", BLOCKED, GOOD, mx1="not-yet-valid"),
    Case("self-signed", BLOCKED, GOOD, mx1="self-signed", reply=UNTRUSTED),
    Case("other-name", BLOCKED, GOOD, mx1="as elsewhere.open", reply=OTHER_NAME),
    Case("other-host-of-policy", BLOCKED, BOTH, mx1="as two.open", reply=OTHER_NAME, postfix=PKIX, because=ANY_NAME_OF_POLICY),
    Case("common-name-only", BLOCKED, GOOD, mx1="no-alternative-name", reply=OTHER_NAME, postfix=PKIX, because=COMMON_NAME),
    Case("intermediate", PKIX, GOOD, mx1="intermediate"),
    Case("intermediate-not-sent", BLOCKED, GOOD, mx1="intermediate-not-sent", reply=UNTRUSTED),
    # -- The web server -----------------------------------------------------------------------------------------
    Case("web-alias", PKIX, GOOD, sts=TXT + "mta-sts.open CNAME web.open\nweb.open A WEB\n"),
    Case("web-wildcard-certificate", PKIX, GOOD, Web("as *.open")),
    Case("web-media-type-with-parameter", PKIX, GOOD, Web(media_type="Text/Plain; charset=us-ascii")),
    web_fault("web-expired", Web("expired"), "expired on"),
    web_fault("web-other-name", Web("as elsewhere.open"), "not for mta-sts"),
    web_fault("web-untrusted", Web("stranger")),
    web_fault("web-self-signed", Web("self-signed")),
    web_fault("web-common-name-only", Web("no-alternative-name"), "common name does not count",
              resolver="secure", postfix=BLOCKED, because=COMMON_NAME),
    web_fault("web-alias-not-there", sts=TXT + "mta-sts.open CNAME web.open\nweb.open A NOBODY\n", log="connection refused"),
    web_fault("web-empty", Web(directives="return 200;"), "it has no `version`"),
    web_fault("web-without-address", sts=TXT, log="has no address in DNS"),
    web_fault("web-not-there", sts=TXT + WEB_GONE, log="connection refused"),
    web_fault("web-hangs-up", Web(directives="return 444;")),
    web_fault("web-redirect", Web(directives="return 301 https://$host/FILE.txt;"), "301 is a redirect"),
    web_fault("web-404", Web(directives="return 404;"), "404"),
    web_fault("web-404-with-policy", Web(directives="error_page 404 /FILE; return 404;"), "404"),
    web_fault("web-500", Web(directives="return 500;"), "500"),
    web_fault("web-204", Web(directives="return 204;"), "204"),
    web_fault("web-html", Web(media_type="text/html"), "media type"),
    web_fault("web-no-media-type", Web(media_type=""), "media type is missing"),
    Case("web-packs-if-asked", PKIX, GOOD, Web(directives="gzip on; gzip_min_length 1; gzip_types *; try_files /FILE =404;")),
    web_fault("web-packs-unasked", Web(directives="add_header Content-Encoding gzip; try_files /FILE.gz =404;"), "encoded as",
              resolver="secure", postfix=BLOCKED,
              because="waxseal asks for the text without encoding (RFC 9110 section 12.5.3) and unpacks nothing. The resolver also "
              "asks for gzip."),
    # -- The text -----------------------------------------------------------------------------------------------
    Case("crlf", PKIX, GOOD.replace("\n", "\r\n")),
    Case("blank-lines-and-blanks", PKIX, GOOD.replace("\n", " \t\n\n")),
    Case("no-blanks-no-last-line-end", PKIX, GOOD.replace(": ", ":").rstrip()),
    Case("any-order", PKIX, "max_age: 604800\nmx: mx.open\nmode: enforce\nversion: STSv1\n"),
    Case("unknown-keys", PKIX, policy("mx.open", more="x-later: 7\ncontact: mailto:postmaster@open\n")),
    faulty("bom", "\ufeff" + GOOD),
    faulty("not-a-field", policy("mx.open", more="this is a remark\n"), resolver="secure", postfix=BLOCKED, because=NOT_A_POLICY),
    faulty("leading-blanks", GOOD.replace("mode", " mode")),
    faulty("carriage-returns", GOOD.replace("\n", "\r"), resolver="secure", postfix=BLOCKED,
           because="RFC 8461 section 3.2: lines end with CRLF or LF. The resolver lets everything count that Python calls a line."),
    Case("mode-twice", PKIX, policy("mx.open", more="mode: none\n"), resolver="notfound", postfix=OPEN, because=LAST_ONE_COUNTS),
    faulty("mode-missing", GOOD.replace("mode: enforce\n", "")),
    faulty("mode-unknown", policy("mx.open", mode="Enforce")),
    faulty("version-missing", GOOD.replace("version: STSv1\n", "")),
    faulty("version-unknown", GOOD.replace("STSv1", "STSv2")),
    faulty("mx-missing", policy()),
    faulty("max-age-missing", GOOD.replace("max_age: 604800\n", "")),
    faulty("max-age-not-a-number", policy("mx.open", max_age="1 week")),
    Case("max-age-zero", PKIX, policy("mx.open", max_age="0")),
    Case("max-age-too-long", PKIX, policy("mx.open", max_age="99999999"), resolver="notfound", postfix=OPEN,
         because="A domain that wants its policy remembered for longer than the year of RFC 8461 section 3.2 certainly wants it "
         "followed. The resolver takes the policy for none."),
    Case("unicode-in-unknown-key", PKIX, UNICODE, Web(media_type="text/plain; charset=utf-8")),
    Case("unicode-without-charset", PKIX, UNICODE, resolver="notfound", postfix=OPEN,
         because="RFC 8461 section 3.2: the text is UTF-8, and parameters of the media type are ignored. The resolver reads it as "
         "ASCII unless a charset is given."),
    faulty("unicode-mx", policy("mx.open", "büro.open"), web=Web(media_type="text/plain; charset=utf-8"),
           resolver="secure", postfix=BLOCKED,
           because="RFC 8461 section 3.2 wants A-labels, so that this is no valid policy. The resolver does not look."),
    Case("address-among-mx", PKIX, policy("127.0.0.1", "mx.open"), postfix=BLOCKED,
         because="RFC 8461 section 4.1: an address matches no host; the other `mx` still does. Postfix, given an address among the "
         "names, accepts none of them."),
    faulty("too-long", GOOD + "x: " + 66000 * "y" + "\n"),
    Case("64-kib-less-one", PKIX, GOOD + "x: " + 65000 * "y" + "\n"),
    # -- The record ---------------------------------------------------------------------------------------------
    Case("record-two", OPEN, GOOD, sts=TXT + NEW_ID + WEB, mx1="stranger"),
    Case("record-without-id", OPEN, GOOD, sts='_mta-sts.open TXT "v=STSv1;"\n' + WEB, mx1="stranger"),
    Case("record-id-with-hyphens", OPEN, GOOD, sts='_mta-sts.open TXT "v=STSv1; id=2026-01-01;"\n' + WEB, mx1="stranger",
         resolver="secure", postfix=BLOCKED,
         because="RFC 8461 section 3.1: an id has letters and digits, and a record that is not well-formed announces nothing. The "
         "resolver takes any text."),
    Case("record-beside-others", PKIX, GOOD, sts='_mta-sts.open TXT "v=spf1 -all"\n' + TXT + WEB),
    Case("record-beside-later-version", PKIX, GOOD, sts='_mta-sts.open TXT "v=STSv10; id=1"\n' + TXT + WEB,
         resolver="notfound", postfix=OPEN,
         because="RFC 8461 section 3.1: records that do not begin with `v=STSv1;` are put aside before they are counted. The "
         "resolver looks for `v=STSv1` and counts two."),
    Case("record-only-others", OPEN, GOOD, sts='_mta-sts.open TXT "v=spf1 -all"\n' + WEB, mx1="stranger"),
    Case("record-in-pieces", PKIX, GOOD, sts='_mta-sts.open TXT "v=STS" "v1; i" "d=1"\n' + WEB),
    Case("record-alias", PKIX, GOOD, sts='_mta-sts.open CNAME sts.far.open\nsts.far.open TXT "v=STSv1; id=1"\n' + WEB),
    Case("record-lame", BLOCKED, GOOD, sts=LAME + WEB, known="unknown",
         reply=r"451 4\.4\.3 .*TXT of _mta-sts\.record-lame", resolver="notfound", postfix=OPEN,
         because="A look-up that failed is no absence: waxseal lets the mail wait. The resolver says that there is no policy."),
    # -- The domain ---------------------------------------------------------------------------------------------
    international("international", PKIX),
    international("international-untrusted", BLOCKED, "stranger", reply=UNTRUSTED.replace("mx", r"mx\.xn--bro-hoa", 1)),
    international("international-as-people-write", PKIX, written="büro.open"),
    Case("below-a-policy-domain", OPEN, ANY, to="below.open", zone="below.open MX 10 mx.open\nmx.open A IP1\n", mx1="stranger"),
    Case("domain-is-alias", OPEN, GOOD, to="alias.open", zone=HOST + "alias.open CNAME open\n", mx1="stranger"),
    # -- DANE beside it -----------------------------------------------------------------------------------------
    dane("dane-good", DANE, "leaf1", postfix=PKIX, because=DANE_FIRST),
    dane("dane-good-untrusted", DANE, "leaf1", mx1="stranger as mx.signed", postfix=BLOCKED, because=DANE_FIRST),
    dane("dane-fails", BLOCKED, "wrong", reply="DANE: no TLSA record matches", postfix=PKIX, because=DANE_FIRST),
    dane("dane-good-not-named", BLOCKED, "leaf1", policy("other.signed"), reply=NOT_NAMED),
    dane("dane-good-testing", DANE, "leaf1", policy("mx.signed", mode="testing"), mx1="stranger as mx.signed", known="testing"),
    # -- Remembered policies ------------------------------------------------------------------------------------
    Case("then-web-gone", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts=TXT + WEB_GONE)),
    Case("then-record-gone", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts=WEB)),
    Case("then-record-lame", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts=LAME + WEB)),
    Case("then-all-gone", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts="")),
    Case("then-all-gone-good-host", PKIX, GOOD, later=Case("", PKIX, GOOD, sts="")),
    Case("then-two-records", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts=TXT + NEW_ID + WEB)),
    Case("downgrade-by-id", PKIX, GOOD, **FORGER, later=Case("", BLOCKED, GOOD, zone=FORGED, sts=NEW_ID + WEB_GONE)),
    Case("downgrade-by-id-and-404", PKIX, GOOD, **FORGER,
         later=Case("", BLOCKED, GOOD, Web(directives="return 404;"), zone=FORGED, sts=NEW_ID + WEB)),
    Case("downgrade-by-forged-web", PKIX, GOOD, **FORGER,
         later=Case("", BLOCKED, policy(mode="none"), Web("stranger"), zone=FORGED, sts=NEW_ID + WEB)),
    Case("new-id-none", PKIX, GOOD, **FORGER, later=Case("", OPEN, policy(mode="none"), zone=FORGED, sts=NEW_ID + WEB)),
    Case("new-id-other-hosts", PKIX, GOOD, mx2="as two.open",
         later=Case("", PKIX, policy("two.open"), zone="open MX 10 two.open\ntwo.open A IP2\n", sts=NEW_ID + WEB)),
    Case("same-id-other-hosts", PKIX, GOOD, mx2="as two.open",
         later=Case("", BLOCKED, policy("two.open"), zone="open MX 10 two.open\ntwo.open A IP2\n")),
    Case("expired-and-web-gone", PKIX, policy("mx.open", max_age="1"), **FORGER,
         later=Case("", OPEN, GOOD, zone=FORGED, sts=TXT + WEB_GONE, phases=("restarted",), resolver="secure", postfix=BLOCKED,
                    because="RFC 8461 section 3.2: a policy lives for max_age after it was fetched. For the resolver a TXT record "
                    "with a known id is as good as a fetch, so that its policies never expire while the record stays.")),
    Case("expired-and-all-gone", PKIX, policy("mx.open", max_age="1"), **FORGER, later=Case("", OPEN, GOOD, zone=FORGED, sts="")),
)
