"""Name servers that answer oddly, and attackers: each takes the answer of a real resolver and does something to it.

Attackers sit on the path to the resolver. What each of them tries is the first line of its function; the questions
that it answers stand above it.
"""

import socket
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from servers import PLAIN, VALIDATING
from zones import SLD, TAMPERING

STRIPPING, NO_EDNS, ATTACKER, AD_ONLY, ONE_HOP = (f"127.53.9.{number}" for number in (3, 4, 5, 6, 7))
PATIENCE = 8
SIGNATURES = {getattr(dns.rdatatype, kind) for kind in ("RRSIG", "NSEC", "NSEC3", "DNSKEY", "DS")}
SOA_OF_UNSIGNED = "ns.ins.sec. hostmaster.ins.sec. 1 3600 600 86400 60"


def ask(server, name, kind, dnssec=False, timeout=PATIENCE):
    return forward(server, dns.message.make_query(name, kind, want_dnssec=dnssec), timeout)


def forward(server, query, timeout=PATIENCE):
    response = dns.query.udp(query, server, timeout=timeout)
    if response.flags & dns.flags.TC:
        response = dns.query.tcp(query, server, timeout=timeout)
    return response


def asked(query):
    """Name and type of a question."""
    question = query.question[0]
    return question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)


def without_signatures(response, but_of=None):
    for section in (response.answer, response.authority, response.additional):
        section[:] = [rrset for rrset in section if rrset.rdtype not in SIGNATURES or rrset.rdtype == but_of]
    return response


# Odd, but honest.


def stripping(query):
    """An old forwarder: knows neither EDNS nor DNSSEC."""
    response = without_signatures(ask(VALIDATING, *asked(query)))
    response.flags &= ~dns.flags.AD
    response.use_edns(-1)
    return response


def no_edns(query):
    """A server from before EDNS, in front of one that validates."""
    if query.edns < 0:
        return forward(VALIDATING, query)
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.FORMERR)
    response.use_edns(-1)
    return response


def ad_only(query):
    """Says what is proven, and keeps the proof for itself."""
    again = dns.message.make_query(*asked(query), want_dnssec=True)
    again.flags |= dns.flags.AD | (query.flags & dns.flags.CD)
    return without_signatures(forward(VALIDATING, again), but_of=query.question[0].rdtype)


def one_hop(query):
    """Answers an alias with the alias alone, as an authoritative server does."""
    response = forward(PLAIN, query)
    name, cname = query.question[0].name, dns.rdatatype.CNAME
    if any(rrset.rdtype == cname for rrset in response.answer):
        of_it = lambda rrset: cname in (rrset.rdtype, rrset.covers)
        response.answer[:] = [rrset for rrset in response.answer if rrset.name == name and of_it(rrset)]
        response.authority.clear()
        response.set_rcode(dns.rcode.NOERROR)
    return response


# Attacks.

ATTACKS = {}


def attack(name, kind):
    """Registers what becomes of one question. The function gets the beginning of a response and the question's name."""

    def register(function):
        ATTACKS[name, kind] = function
        return function

    return register


def add(section, name, kind, *texts):
    section.append(dns.rrset.from_text(name, 60, "IN", kind, *texts))


def truth(name, kind):
    return ask(PLAIN, name, kind, dnssec=True)


def replayed(response, name, kind, owner):
    """The genuine answer for one name, made to look like that for another."""
    genuine = truth(name, kind)
    for rrset in genuine.answer:
        rrset.name = dns.name.from_text(owner)
    response.answer += genuine.answer
    response.authority += genuine.authority


@attack("_25._tcp.mx1.good.sec.", "TLSA")
def denial_by_the_soa_of_an_unsigned_zone(response, _):
    """NXDOMAIN, with the unsigned SOA of some other, unsigned zone."""
    response.set_rcode(dns.rcode.NXDOMAIN)
    add(response.authority, "ins.sec.", "SOA", SOA_OF_UNSIGNED)


@attack("ed.sec.", "MX")
def denial_by_the_ns_of_an_unsigned_zone(response, _):
    """NXDOMAIN, with the NS record of some other, unsigned zone."""
    response.set_rcode(dns.rcode.NXDOMAIN)
    add(response.authority, "ins.sec.", "NS", "ns.ins.sec.")


@attack("_25._tcp.mx1.sha512.sec.", "TLSA")
def denial_by_the_unsigned_soa_of_the_zone(response, _):
    """NODATA, with the zone's own SOA, unsigned."""
    add(response.authority, "sha512.sec.", "SOA", SOA_OF_UNSIGNED)


@attack("_25._tcp.mx2.good.sec.", "TLSA")
def bare_nodata(_response, _):
    """NODATA without anything."""


@attack("_25._tcp.mx3.good.sec.", "TLSA")
def bare_nxdomain(response, _):
    """NXDOMAIN without anything but a lying AD bit."""
    response.set_rcode(dns.rcode.NXDOMAIN)


@attack("_25._tcp.mx1.p384.sec.", "TLSA")
def denial_by_the_nsec_of_another_name(response, _):
    """NXDOMAIN, with a genuine NSEC record that covers something else."""
    response.set_rcode(dns.rcode.NXDOMAIN)
    response.authority += truth("_25._tcp.mx3.p384.sec.", "TLSA").authority


@attack("good.sec.", "MX")
def forged_records(response, name):
    """MX records of the attacker's own."""
    add(response.answer, name, "MX", "10 evil.ins.sec.")


@attack("csk.sec.", "MX")
def forged_alias_of_a_domain(response, name):
    """A CNAME into an unsigned zone, where the attacker may say what he likes."""
    add(response.answer, name, "CNAME", "ins.sec.")
    add(response.answer, "ins.sec.", "MX", "10 evil.ins.sec.")


@attack("mx1.csk.sec.", "A")
def forged_alias_of_a_host(response, name):
    """The same for a host."""
    add(response.answer, name, "CNAME", "host.ins.sec.")
    add(response.answer, "host.ins.sec.", "A", "127.53.66.1")


@attack("_25._tcp.mx1.csk.sec.", "TLSA")
def records_of_another_name(response, _):
    """Genuine records, but those of another name."""
    response.answer += truth("_25._tcp.mx1.good.sec.", "TLSA").answer


@attack("_25._tcp.mx1.rsa.sec.", "TLSA")
def records_without_signature(response, name):
    """Genuine records without their signature."""
    genuine = truth(name, "TLSA").answer
    response.answer += [rrset for rrset in genuine if rrset.rdtype != dns.rdatatype.RRSIG]


@attack("_25._tcp.mx1.ed.sec.", "TLSA")
def failure(response, _):
    """SERVFAIL, in the hope that it passes for an absence."""
    response.set_rcode(dns.rcode.SERVFAIL)


@attack("_25._tcp.mx1.ds384.sec.", "TLSA")
def silence(_response, _):
    """No answer, in the hope that it passes for an absence."""
    return "silent"


@attack("a.wcapex.sec.", "MX")
def wildcard_for_a_name_that_exists(response, name):
    """The genuine answer of a wildcard, for a name that it does not stand for."""
    replayed(response, "foo.wcapex.sec.", "MX", name)


@attack("b.wcapex.sec.", "MX")
def wildcard_beside_the_soa_of_an_unsigned_zone(response, name):
    """The genuine answer of a wildcard, and in place of its proof the SOA of some unsigned zone."""
    response.answer += truth(name, "MX").answer
    add(response.authority, "ins.sec.", "SOA", SOA_OF_UNSIGNED)


@attack("_25._tcp.mxw2.good.sec.", "TLSA")
def wildcard_of_another_host(response, name):
    """The genuine answer of a wildcard below another name."""
    replayed(response, "_25._tcp.mxw.good.sec.", "TLSA", name)


@attack("t.dn.good.sec.", "A")
def alias_beside_a_dname(response, name):
    """A genuine DNAME, and beside it a forged CNAME: the truth is all that may come of it."""
    owner = dns.name.from_text("dn.good.sec.")
    response.answer += [rrset for rrset in truth(name, "A").answer if rrset.name == owner]
    forged_alias_of_a_host(response, name)


def attacker(query):
    """Answers some questions himself, and passes on the others."""
    name, kind = asked(query)
    forge = ATTACKS.get((name, kind))
    if forge is None:
        return forward(PLAIN, query)
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA | dns.flags.AD
    return None if forge(response, name) == "silent" else response


def tampering(query):
    """In front of an authoritative server: denies a TLSA record by the SOA of an unsigned zone below."""
    name, _ = asked(query)
    if name not in ("_25._tcp.mx1.mitm.sec.", "_tcp.mx1.mitm.sec."):
        return forward(SLD, query)
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.NXDOMAIN if name.startswith("_25") else dns.rcode.NOERROR)
    add(response.authority, "ins.mitm.sec.", "SOA", SOA_OF_UNSIGNED.replace("ins.sec", "ins.mitm.sec"))
    return response


# Serving them.

SERVED = {
    STRIPPING: stripping,
    NO_EDNS: no_edns,
    ATTACKER: attacker,
    AD_ONLY: ad_only,
    ONE_HOP: one_hop,
    TAMPERING: tampering,
}


def respond(answer, wire):
    """The query and its response, or none."""
    query = dns.message.from_wire(wire)
    try:
        response = answer(query)
    except (dns.exception.DNSException, OSError):
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.SERVFAIL)
    if response is not None:
        response.id, response.question = query.id, query.question
    return query, response


def fit(query, response):
    """For a datagram: truncated where it is too long."""
    limit = max(512, query.payload if query.edns >= 0 else 512)
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        truncated = dns.message.make_response(query)
        truncated.flags |= dns.flags.TC
        return truncated.to_wire()


def serve_udp(server, answer):
    def one(wire, client):
        query, response = respond(answer, wire)
        if response is not None:
            server.sendto(fit(query, response), client)

    while True:
        wire, client = server.recvfrom(4096)
        threading.Thread(target=one, args=(wire, client), daemon=True).start()


def serve_tcp(server, answer):
    def one(client):
        with client:
            while len(length := client.recv(2, socket.MSG_WAITALL)) == 2:
                wire = client.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL)
                _, response = respond(answer, wire)
                if response is not None:
                    told = response.to_wire(max_size=65535)
                    client.sendall(struct.pack("!H", len(told)) + told)

    while True:
        client, _ = server.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()


def start(port):
    """Serves all of them from threads of this process."""
    for address, answer in SERVED.items():
        udp = socket.socket(type=socket.SOCK_DGRAM)
        udp.bind((address, port))
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((address, port))
        tcp.listen(64)
        threading.Thread(target=serve_udp, args=(udp, answer), daemon=True).start()
        threading.Thread(target=serve_tcp, args=(tcp, answer), daemon=True).start()
