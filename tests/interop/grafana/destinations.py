"""What the destinations of the lab publish, for this run: a signed zone, TLSA records, MTA-STS policies.

The zone is the root, signed as a whole, in one validating unbound. So every instance has DNSSEC, as it should be.
"""

import hashlib
import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import dns
from internet import ENCRYPT, GATE, TLS, WRONG
from lab import Process, listening, run, wait_until

WEB = "127.25.0.4{}"  # the web servers of the policies
NOBODY = "127.25.0.49"  # where one is missing

# Domain -> (mode, host). The hosts of the second and the third do not do what their policy asks for.
POLICIES = {
    "many5.example": ("enforce", "mx-secure.example"),
    "many3.example": ("testing", "mx-plain.example"),
    "many2.example": ("enforce", "mx-elsewhere.example"),
}
UNREACHABLE = "tls.example"  # it announces a policy that nobody can fetch
MISMATCH = "mismatch.example"  # its server does not match its TLSA record
PINNED = "many1.example"  # a rule knows the fingerprint of its server

FINGERPRINT_RULE = """
[[rule]]
domains = ["{domain}"]
tls = "fingerprint"
fingerprints = ["sha256:{fingerprint}"]
"""

UNBOUND = """\
server:
    interface: {address}@{port}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    num-threads: 1
    module-config: "validator iterator"
    trust-anchor-file: "{anchor}"
    trust-anchor-signaling: no
    root-key-sentinel: no
auth-zone:
    name: "."
    zonefile: "{zone}"
    for-downstream: no
    for-upstream: yes
    fallback-enabled: no
remote-control:
    control-enable: no
"""


def chain_of(lab, mx):
    """The certificate that the lab made for an MX."""
    return (lab.dir / f"{mx.host}.chain.pem").read_bytes()


def fingerprint(lab, mx):
    """SHA-256 of its public key."""
    key = _openssl(["x509", "-noout", "-pubkey"], chain_of(lab, mx))
    return hashlib.sha256(_openssl(["pkey", "-pubin", "-outform", "DER"], key)).hexdigest()


def _openssl(arguments, text):
    return subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=True).stdout


def rule(lab):
    """The rule for the pinned domain."""
    return FINGERPRINT_RULE.format(domain=PINNED, fingerprint=fingerprint(lab, TLS))


def records(lab, mx_port):
    """The zone, record by record."""
    yield from dns.records()
    yield from (". 60 NS ns.root.", f"ns.root. 60 A {GATE}")
    yield f"_{mx_port}._tcp.{ENCRYPT.host}. 60 TLSA 3 1 1 {fingerprint(lab, ENCRYPT)}"
    yield f"_{mx_port}._tcp.{WRONG.host}. 60 TLSA 3 1 1 {'00' * 32}"
    yield f"{MISMATCH}. 60 MX 10 {WRONG.host}."
    addresses = {UNREACHABLE: NOBODY, **{domain: WEB.format(at) for at, domain in enumerate(POLICIES)}}
    for domain, address in addresses.items():
        yield f'_mta-sts.{domain}. 60 TXT "v=STSv1; id=1;"'
        yield f"mta-sts.{domain}. 60 A {address}"


def start_dns(lab, port, mx_port):
    """Signs the zone and starts unbound with it on GATE:port."""
    key = lab.dir / run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "."], cwd=lab.dir).strip()
    zone = lab.dir / "root.zone"
    zone.write_text("\n".join([*records(lab, mx_port), ""]))
    run(["ldns-signzone", "-o", ".", "-f", f"{zone}.signed", zone, key])
    # AppArmor confines unbound by its path, away from temporary directories; a copy is not confined.
    binary = lab.dir / "unbound"
    shutil.copy(shutil.which("unbound"), binary)
    config = lab.dir / "unbound.conf"
    config.write_text(
        UNBOUND.format(address=GATE, port=port, directory=lab.dir, anchor=f"{key}.key", zone=f"{zone}.signed")
    )
    process = Process(lab, "unbound-server", [binary, "-d", "-p", "-c", config])
    wait_until("unbound", lambda: listening(GATE, port), 20, process.running)


def start_web(lab, port, authority):
    """Starts the web servers of the policies."""
    for at, (domain, (mode, host)) in enumerate(POLICIES.items()):
        policy = f"version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 86400\n"
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(Path(authority.issue(f"mta-sts.{domain}")))
        server = http.server.ThreadingHTTPServer((WEB.format(at), port), _answering(policy.encode()))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lab.at_end(server.shutdown)


def _answering(policy):
    class Answer(http.server.BaseHTTPRequestHandler):
        """Has one file, whatever it is asked for."""

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(policy)))
            self.end_headers()
            self.wfile.write(policy)

        def log_message(self, *_):
            pass

    return Answer
