"""One glance: how much left sealed or open, what was held back and why, what the MTAs do."""

from model import Dashboard, Graph, Number, per_minute, share, share_of_range, that_occurred

OPEN = 'encryption="plaintext", '
PROVEN = 'authentication!="none", '

GLANCE = [
    Number(
        1, "Delivered", "sum(increase(waxseal_deliveries_total{@selected}[$__range]))",
        """Messages that an MX accepted in the time shown. If it is far below what you expect, look at 'Held back by policy' and
        'Failed for other reasons' below, and at the queue of your MTA.""",
        decimals=0,
    ),
    Number(
        2, "Left in plaintext", share_of_range("waxseal_deliveries_total", OPEN),
        """The part of all delivered messages that left without encryption. If it is high, look in the log for
        encryption="plaintext" to see the domains; a rule with tls = encrypt holds their mail back until they offer TLS.""",
        unit="percentunit", limits=[("green", None), ("yellow", 0.02), ("red", 0.1)], empty="no mail",
    ),
    Number(
        3, "Recipient's server proven", share_of_range("waxseal_deliveries_total", PROVEN),
        """The part of all delivered messages whose server proved its name by DANE, by a certificate of a public CA (PKIX) or by a
        fingerprint. The rest is safe from eavesdroppers at most, not from somebody who plays the server. It grows with rules
        (secure, dane-only, fingerprint); a sudden fall means that a proof which used to work is gone.""",
        unit="percentunit", empty="no mail",
    ),
    Number(
        4, "Held back by policy", "sum(increase(waxseal_blocked_total{@selected}[$__range]))",
        """How often waxseal held mail back because no server proved what the policy asks for. Each new try of the MTA counts again.
        A few are waxseal at work; if there are many, the panel by reason below says what is missing, and the log
        (result="blocked") says where.""",
        limits=[("text", None), ("yellow", 1)], decimals=0,
    ),
    Number(
        5, "Would be held back", "sum(increase(waxseal_would_block_total{@selected}[$__range]))",
        """Messages that left although policy asked for more: a rule with mode = observe, or an MTA-STS policy in testing. Zero for
        some days means that you can set such a rule to enforce without losing mail.""",
        limits=[("text", None), ("blue", 1)], decimals=0,
    ),
    Number(
        6, "Instances", "count(waxseal_build_info{@selected})",
        """Instances of waxseal that Prometheus can read now. If one is missing, look at Status, Targets in Prometheus and at
        the service on that machine: its MTA cannot send mail.""",
        limits=[("red", None), ("green", 1)], empty="NONE",
    ),
]

LEFT = [
    Graph(
        11, "Sealed and open, messages per minute", {"{{encryption}}": per_minute("waxseal_deliveries_total", "encryption")},
        """Messages that an MX accepted, with TLS and without. If the red part grows, find the domains in the log
        (encryption="plaintext"): either a big destination lost its TLS, or somebody on the way suppresses STARTTLS.""",
        stack="normal",
    ),
    Graph(
        12, "How the server was proven, share of messages",
        {
            "dane": share("waxseal_deliveries_total", 'authentication="dane", '),
            "pkix": share("waxseal_deliveries_total", 'authentication="pkix", '),
            "fingerprint": share("waxseal_deliveries_total", 'authentication="fingerprint", '),
            "TLS, nobody proven": share("waxseal_deliveries_total", 'encryption="tls", authentication="none", '),
            "plaintext": share("waxseal_deliveries_total", OPEN),
        },
        """Who made sure that the right server got the message. If dane falls, look at DNSSEC on the page about policies; if pkix
        falls, at MTA-STS there and at your rules.""",
        unit="percentunit", stack="normal", most=1,
    ),
    Graph(
        13, "In plaintext, share of messages", {"in plaintext": share("waxseal_deliveries_total", OPEN)},
        """The number that should never rise unnoticed; the alert WaxsealPlaintextShareRises compares it with the week before.
        Where it rises, look in the log for encryption="plaintext" and ask `waxseal check DOMAIN --connect`.""",
        unit="percentunit",
    ),
    Graph(
        14, "By whose word, messages per minute", {"{{policy}}": per_minute("waxseal_deliveries_total", "policy")},
        """Whose word decided what the connection had to prove: your rules, DANE, MTA-STS, or nobody's (opportunistic: TLS if
        offered). If dane or mta-sts disappears, look at the page about policies.""",
        stack="normal",
    ),
    Graph(
        15, "Recipients per minute", {"{{encryption}}": per_minute("waxseal_recipients_total", "encryption")},
        """Recipients of the delivered messages. Far more recipients than messages, all of a sudden, can be a stolen account
        that sends spam: look into your MTA's log.""",
        stack="normal",
    ),
]

HELD_BACK = [
    Graph(
        21, "Held back by policy, per minute", {"{{reason}}": that_occurred("waxseal_blocked_total", "reason")},
        """Why mail was held back; it waits in the MTA's queue. starttls-not-supported: the server offers no TLS. certificate-...
        and validation-failure: it could not prove its name. tlsa-invalid: its certificate is not the one that DNS announces.
        sts-...: MTA-STS. dnssec-invalid: DNS lies or is broken. Ask `waxseal check DOMAIN --connect`, then tell the
        destination's postmaster, or write a rule with an expiry date.""",
        stack="normal",
    ),
    Graph(
        22, "Would be held back, per minute",
        {"{{policy}} {{reason}}": that_occurred("waxseal_would_block_total", "policy, reason")},
        """What left although a rule in observe, or an MTA-STS policy in testing, asked for more. This is what you would hear
        about after a switch to enforce. Nothing for some days: switch.""",
        stack="normal",
    ),
    Graph(
        23, "Failed for other reasons, per minute", {"{{reason}}": that_occurred("waxseal_failures_total", "reason")},
        """Mail that could not leave for reasons that are not about policy. dns-failed: look at your resolver. unreachable, timeout,
        connection-lost for many destinations at once: look at your network and whether port 25 is open. no-such-domain
        and null-mx: wrong addresses, your senders' mistake.""",
        stack="normal",
    ),
    Graph(
        24, "Rejected by the MX, per minute", {"{{class}}": that_occurred("waxseal_rejected_total", "class")},
        """The other side said no: 4xx try later, 5xx never. waxseal only passes it on; the texts are in your MTA's log. Many 4xx at
        once: greylisting, or your address is on a block list. Many 5xx: wrong addresses, or your mail is taken for spam.""",
        stack="normal",
    ),
    Graph(
        25, "Downgrades, in the last hour", {"{{kind}}": "sum by (kind) (increase(waxseal_downgrades_total{@selected}[1h]))"},
        """MX hosts that showed less than before. starttls: TLS worked and does not any more. authentication: the host was proven, and
        now nothing proves who it is. `waxseal host list --lost` names them; ask their postmasters. Many at once: somebody near you takes
        STARTTLS away. With [tls] downgrade = "defer" their mail waits.""",
        stack="normal", width=24,
    ),
]

MTAS = [
    Graph(
        31, "Sessions now", {"{{listener}}": "sum by (listener) (waxseal_sessions{@selected})"},
        """Connections of MTAs at this moment. Against the top (max_sessions of the listener, 1000 by default) MTAs hear 421: raise it,
        or lower the concurrency of the MTA.""",
        width=8,
    ),
    Graph(
        32, "Sessions started per minute", {"{{listener}}": per_minute("waxseal_sessions_total", "listener")},
        """New connections of MTAs. If it falls to zero while mail waits in the MTA, the MTA does not reach waxseal: look at its
        transport or relayhost, and whether somebody points it past waxseal.""",
        width=8,
    ),
    Graph(
        33, "Turned away by waxseal, per minute",
        {"{{listener}} {{reason}}": that_occurred("waxseal_refused_total", "listener, reason")},
        """MTAs, commands and messages that waxseal itself refused. not-allowed: a client that the listener's allow list does not
        hold. overloaded: raise max_sessions. bare-newline: a client that writes broken messages, or tries to smuggle mail.
        too-big: above [message] max_size.""",
        width=8,
    ),
    Graph(
        34, "Passed through untouched, connections per minute",
        {"{{listener}} {{reason}}": that_occurred("waxseal_passthrough_total", "listener, reason")},
        """Connections of which waxseal saw nothing. bypass: their destination is in a network that the listener leaves alone. starttls: the MTA
        does TLS with the MX itself. What is not meant to pass like that is a listener set up wrongly.""",
        stack="normal",
    ),
    Graph(
        35, "Questions of Postfix, per minute", {"{{result}}": that_occurred("waxseal_socketmap_requests_total", "result")},
        """Requests to the policy table, for a Postfix that delivers by itself. temp: nobody knows at present, and the mail waits in Postfix: look at
        the resolver. perm: a rule cannot be said in Postfix's words, or a name is broken: the log tells which.""",
        stack="normal",
    ),
]

INSTANCES = [
    Graph(
        41, "Messages per minute, by instance", {"{{instance}}": per_minute("waxseal_deliveries_total", "instance")},
        """The load of each machine. One that falls behind the others is down, cut off, or its MTA sends elsewhere.""",
    ),
    Graph(
        42, "In plaintext, share by instance", {"{{instance}}": share("waxseal_deliveries_total", OPEN, by="instance")},
        """All machines of a fleet should look alike. If one alone stands out, look there: other rules, a resolver that does not
        validate, or a firewall that takes STARTTLS away.""",
        unit="percentunit",
    ),
]

DOMAINS = [
    Graph(
        51, "Listed domains, messages per minute",
        {"{{domain}} {{encryption}}": that_occurred("waxseal_domain_deliveries_total", "domain, encryption")},
        """Messages to the domains that you list under [metrics] domains, sealed and open. Empty without a list. If a partner's mail turns to
        plaintext, ask `waxseal check DOMAIN --connect`.""",
        stack="normal",
    ),
    Graph(
        52, "Listed domains, held back per minute",
        {"{{domain}} {{reason}}": that_occurred("waxseal_domain_blocked_total", "domain, reason")},
        """Mail to the listed domains that was held back, and why; it waits in the MTA's queue. Tell the domain's postmaster, or write a rule
        with an expiry date if the mail cannot wait.""",
        stack="normal",
    ),
]

DASHBOARD = Dashboard(
    "waxseal-overview", "waxseal: overview",
    "How much mail left sealed or open, what was held back and why. Every panel says what to do when it looks wrong: point at its (i).",
    [
        (100, "At a glance", GLANCE),
        (101, "What left", LEFT),
        (102, "What did not leave", HELD_BACK),
        (103, "MTAs", MTAS),
        (104, "By instance", INSTANCES),
        (105, "Listed domains", DOMAINS),
    ],
)
