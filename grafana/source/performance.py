"""How long things take, what comes of dialling, what the process uses."""

from model import Dashboard, Graph, Number, per_minute, quantiles, that_occurred


def within(metric):
    return f"histogram_quantile(0.95, sum by (le) (rate({metric}_bucket{{@selected}}[$__range])))"


GLANCE = [
    Number(
        1, "Transaction, 95 of 100 within", within("waxseal_transaction_seconds"),
        """From the first recipient to the end, content included, of 95 in 100 legs. Most of it is the other side's time. If it grows, the
        graphs below say which part grew.""",
        unit="s", empty="no mail",
    ),
    Number(
        2, "Look-up, 95 of 100 within", within("waxseal_policy_lookup_seconds"),
        """Time to learn all about a destination. Above a second: the resolver is slow or loses packets.""",
        unit="s", limits=[("green", None), ("yellow", 1), ("red", 5)], empty="no mail",
    ),
    Number(
        3, "Content sent", "sum(increase(waxseal_message_bytes_total{@selected}[$__range]))",
        """Octets of content that were sent to MX hosts in the time shown.""",
        unit="bytes",
    ),
    Number(
        4, "Memory", "max(process_resident_memory_bytes{@selected})",
        """Resident memory of the largest instance. It depends on the number of sessions, not on the size of messages. If it only ever grows,
        note the version and tell the makers.""",
        unit="bytes", empty="unknown",
    ),
    Number(
        5, "File descriptors", "max(process_open_fds{@selected} / process_max_fds{@selected})",
        """The part of the permitted file descriptors that is in use, of the instance that is nearest to its limit. Each session takes two. Near
        1, new connections fail: raise LimitNOFILE of the service.""",
        unit="percentunit", limits=[("green", None), ("yellow", 0.6), ("red", 0.8)], empty="unknown",
    ),
    Number(
        6, "Up for", "time() - max(process_start_time_seconds{@selected})",
        """The age of the process that was started last. If it is younger than you think, something restarted it: look into the service's log.""",
        unit="dtdurations", empty="unknown",
    ),
]

TIMES = [
    Graph(
        11, "Time of a look-up", quantiles("waxseal_policy_lookup_seconds"),
        """To gather the facts about a destination: MX, addresses, TLSA, MTA-STS. From memory it takes no time. If all lines rise, look at the
        resolver; if only the top one does, some domains have slow name servers or web servers.""",
        unit="s", width=8,
    ),
    Graph(
        12, "Time to connect", quantiles("waxseal_connect_seconds"),
        """TCP to an MX: one round trip. If all lines rise, look at the line and the firewall.""",
        unit="s", width=8,
    ),
    Graph(
        13, "Time of a TLS handshake", quantiles("waxseal_tls_handshake_seconds"),
        """Two or three round trips and some arithmetic. If it rises and the time to connect does not, look at the CPU below.""",
        unit="s", width=8,
    ),
    Graph(
        14, "Time of a transaction", quantiles("waxseal_transaction_seconds"),
        """From the first recipient to the MX's last word. Large messages and servers that examine them at leisure make the top. If half of all
        mail takes longer than usual, compare the other three graphs.""",
        unit="s",
    ),
    Graph(
        15, "Time in line for a limited destination", quantiles("waxseal_destination_wait_seconds"),
        """How long mail waits for a connection, or for its turn, where a [[destination]] has limits. No lines: none has. If it stays near a
        quarter of [timeouts] ready, mail is deferred (connection-limit, message-limit among the addresses tried): raise the limit if the
        provider allows it, or let the MTA send less at a time.""",
        unit="s",
    ),
]

WORK = [
    Graph(
        21, "Addresses tried, per minute", {"{{result}}": that_occurred("waxseal_attempts_total", "result")},
        """What came of dialling MX hosts; ready is success. unreachable and timeout of many: the line, or port 25 is blocked on the way.
        turned-away: the MX said no in its greeting, perhaps your address is on a block list. no-socket: raise LimitNOFILE.
        forbidden-address and own-listener: the MX has an address that is not public, or is waxseal itself.""",
        stack="normal",
    ),
    Graph(
        22, "Content sent, octets a second", {"{{encryption}}": "sum by (encryption) (rate(waxseal_message_bytes_total{@selected}[$__rate_interval]))"},
        """Octets of content a second, sealed and open. If it stands at the capacity of the line, mail takes longer; nothing is lost.""",
        unit="Bps", stack="normal",
    ),
    Graph(
        23, "Legs at an end, per minute", {"legs": "sum(rate(waxseal_transaction_seconds_count{@selected}[$__rate_interval])) * 60"},
        """Parts of messages for one domain each, delivered or not. If it falls while sessions stay, mail hangs at the MX hosts.""",
    ),
    Graph(
        24, "Sessions now, by instance", {"{{instance}}": "sum by (instance) (waxseal_sessions{@selected})"},
        """Connections of MTAs. A steady rise without more mail means that destinations keep them waiting: look at the time of a transaction.""",
    ),
    Graph(
        25, "Messages over a connection used before", {
            "share": "sum(rate(waxseal_upstream_reuses_total{@selected}[$__rate_interval]))"
            " / sum(rate(waxseal_transaction_seconds_count{@selected}[$__rate_interval]))",
        },
        """The share that paid neither connect nor handshake. Low where destinations are many and mail is little. If it falls while mail stays, the
        servers close early: look for 421 in the MTA's log, or raise [pool] idle.""",
        unit="percentunit",
    ),
    Graph(
        26, "Connections that wait, by instance", {"{{instance}}": "sum by (instance) (waxseal_pool_connections{@selected})"},
        """Connections to MX hosts that wait for the next message. Steadily at [pool] connections: more would be used again if it were raised.""",
    ),
]

PROCESS = [
    Graph(
        31, "CPU, by instance", {"{{instance}}": "rate(process_cpu_seconds_total{@selected}[$__rate_interval])"},
        """Processors in use; 100 % is one of them. Near the number that the machine has, mail slows down: give it more, or add an instance.""",
        unit="percentunit",
    ),
    Graph(
        32, "Memory, by instance", {
            "{{instance}} resident": "process_resident_memory_bytes{@selected}",
            "{{instance}} virtual": "process_virtual_memory_bytes{@selected}",
        },
        """Resident is what counts. It follows the number of sessions. If it only ever grows, note the version and tell the makers.""",
        unit="bytes",
    ),
    Graph(
        33, "File descriptors, share in use", {"{{instance}}": "process_open_fds{@selected} / process_max_fds{@selected}"},
        """Above 80 of 100 an alert tells: raise LimitNOFILE of the service (or `ulimit -n`), or lower max_sessions.""",
        unit="percentunit", limit=0.8,
    ),
    Graph(
        34, "Threads", {"{{instance}}": "process_threads{@selected}"},
        """A fixed number for the processors and some for the store and look-ups. If it grows without end, note the version and tell the
        makers.""",
        width=8,
    ),
    Graph(
        35, "Up for, by instance", {"{{instance}}": "time() - process_start_time_seconds{@selected}"},
        """A saw with many teeth is a service that keeps being restarted: look into its log.""",
        unit="dtdurations", width=8,
    ),
    Graph(
        37, "Lines of the audit log lost, per minute", {"{{reason}}": per_minute("waxseal_audit_lines_lost_total", "reason")},
        """Nothing, if all is well. queue-full: the disk is slower than the mail. write-failed: it is full or broken, and the log tells how.""",
        width=8,
    ),
    Graph(
        36, "Versions", {"{{version}}": "count by (version) (waxseal_build_info{@selected})"},
        """Instances by version. Two lines for longer than an upgrade takes: a machine was forgotten.""",
        width=8,
    ),
]

DASHBOARD = Dashboard(
    "waxseal-performance", "waxseal: performance",
    "How long things take, and what the processes use.",
    [(100, "At a glance", GLANCE), (101, "Time", TIMES), (102, "Work", WORK), (103, "Process", PROCESS)],
)
