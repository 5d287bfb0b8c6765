"""TLS with the MX hosts: versions, key exchange, ciphers, handshakes that failed, their time."""

from model import Dashboard, Graph, Number, per_minute, quantiles, share, share_of_range, that_occurred

HANDSHAKES = "waxseal_tls_handshakes_total"
QUANTUM_SAFE = 'key_exchange="X25519MLKEM768", '
# Attempts that ended at TLS itself: neither the network, nor what a certificate says.
BROKEN = "starttls-not-supported|starttls-refused|starttls-injection|validation-failure|tls-too-old"
UNPROVEN = "certificate-.*|fingerprint-mismatch|tlsa-invalid"

GLANCE = [
    Number(
        1, "Handshakes", f"sum(increase({HANDSHAKES}{{@selected}}[$__range]))",
        """TLS handshakes with MX hosts that were finished in the time shown, tests and failed proofs included. None while mail leaves
        means that all of it leaves in plaintext: look for somebody on the way who takes STARTTLS away.""",
        decimals=0, empty="none",
    ),
    Number(
        2, "TLS 1.3", share_of_range(HANDSHAKES, 'version="TLSv1.3", '),
        """The part of the handshakes in TLS 1.3; the rest is 1.2, as nothing older is spoken. Nothing to do: it depends on the other
        side. A rule with min_version = "1.3" demands it of partners.""",
        unit="percentunit", empty="no TLS",
    ),
    Number(
        3, "Safe from quantum computers", share_of_range(HANDSHAKES, QUANTUM_SAFE),
        """The part of the handshakes whose keys were agreed with X25519MLKEM768: mail recorded today stays secret even when quantum
        computers can break the rest. waxseal always offers it; what is missing is the other side's.""",
        unit="percentunit", empty="no TLS",
    ),
    Number(
        4, "Resumed", share_of_range(HANDSHAKES, 'resumed="yes", '),
        """The part of the handshakes that resumed an earlier session, which is faster. The proof is judged again each time. Nothing to
        do here.""",
        unit="percentunit", empty="no TLS",
    ),
    Number(
        5, "Broke off at TLS", f'sum(increase(waxseal_attempts_total{{result=~"{BROKEN}", @selected}}[$__range]))',
        """Addresses of MX hosts with which TLS did not come about: STARTTLS was missing or refused, or the handshake failed. Where
        nothing demands TLS their mail left in plaintext. `waxseal check DOMAIN --connect` shows what a host offers.""",
        limits=[("text", None), ("yellow", 1)], decimals=0,
    ),
    Number(
        6, "Did not prove their name", f'sum(increase(waxseal_attempts_total{{result=~"{UNPROVEN}", @selected}}[$__range]))',
        """Addresses of MX hosts with TLS, but without the proof that the policy asks for: a wrong, expired or unknown certificate. The
        log names each. Many at once, of many domains: compare the clock and the trusted CAs of this machine.""",
        limits=[("text", None), ("yellow", 1)], decimals=0,
    ),
]

STRENGTH = [
    Graph(
        11, "Versions, handshakes per minute", {"{{version}}": per_minute(HANDSHAKES, "version")},
        """TLS 1.2 and 1.3. An MX that has only 1.1 or older shows up as a failed attempt (tls-too-old or validation-failure).
        If 1.2 grows, a big destination changed its servers; nothing is broken.""",
        stack="normal",
    ),
    Graph(
        12, "Key exchange, handshakes per minute", {"{{key_exchange}}": per_minute(HANDSHAKES, "key_exchange")},
        """How the keys were agreed. X25519MLKEM768 withstands quantum computers. If it disappears while the number of handshakes stays,
        a device on the way may be dropping its larger first message: compare another network.""",
        stack="normal",
    ),
    Graph(
        13, "Safe from quantum computers, share of handshakes", {"X25519MLKEM768": share(HANDSHAKES, QUANTUM_SAFE)},
        """The share of X25519MLKEM768. It should only grow over the months; a sudden fall is worth a look at the panel beside it.""",
        unit="percentunit",
    ),
    Graph(
        14, "Ciphers, handshakes per minute", {"{{cipher}}": per_minute(HANDSHAKES, "cipher")},
        """All of them are good: waxseal has no weak ones. Nothing to do; it helps to answer an auditor.""",
        stack="normal",
    ),
    Graph(
        15, "Full and resumed, handshakes per minute", {"resumed: {{resumed}}": per_minute(HANDSHAKES, "resumed")},
        """Resumed sessions save a signature, and before TLS 1.3 a round trip. If resumption disappears while traffic stays, waxseal was
        restarted or reloaded, or the destinations stopped giving out tickets; no harm is done.""",
        stack="normal",
    ),
]

FAILURES = [
    Graph(
        21, "TLS did not come about, attempts per minute",
        {"{{result}}": that_occurred("waxseal_attempts_total", "result", f'result=~"{BROKEN}", ')},
        """starttls-not-supported: no TLS there. starttls-refused: offered, then refused. validation-failure: the handshake failed.
        tls-too-old: older than the policy demands. starttls-injection: somebody slipped commands in before the encryption; take it
        seriously and ask the destination. If many destinations lose STARTTLS at once, a firewall near you is the cause.""",
        stack="normal",
    ),
    Graph(
        22, "The name was not proven, attempts per minute",
        {"{{result}}": that_occurred("waxseal_attempts_total", "result", f'result=~"{UNPROVEN}", ')},
        """certificate-expired: tell the destination. certificate-host-mismatch: the MX has a certificate for another name; perhaps the
        rule needs a match. certificate-not-trusted: an unknown CA; ca_files of the rule may name it. tlsa-invalid: the certificate was
        changed and DNS was not, or it is not the right server. fingerprint-mismatch: ask the partner for the new one.""",
        stack="normal",
    ),
    Graph(
        23, "Time of a handshake", quantiles("waxseal_tls_handshake_seconds"),
        """Usually two or three round trips to the destination. If all of it is slow, look at the CPU of this machine (the page about
        performance) and at the line; if only the top is, some destinations are slow and nothing is wrong here.""",
        unit="s", width=24,
    ),
]

DASHBOARD = Dashboard(
    "waxseal-tls", "waxseal: TLS",
    "How strong the encryption with the MX hosts is, and where it fails.",
    [(100, "At a glance", GLANCE), (101, "Strength", STRENGTH), (102, "Failures and time", FAILURES)],
)
