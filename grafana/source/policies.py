"""What waxseal knows about destinations and where from: DNS, DNSSEC, MTA-STS, rules, the store."""

from model import Dashboard, Graph, Number, per_minute, that_occurred

NO_YES = {"0": ("no", "red"), "1": ("yes", "green")}
LOOKUPS = "waxseal_policy_lookups_total"


def failed_share(source):
    failed = f'sum(rate({LOOKUPS}{{source="{source}", result="failed", @selected}}[$__rate_interval]))'
    return f'{failed} / sum(rate({LOOKUPS}{{source="{source}", @selected}}[$__rate_interval]))'


def cached_share():
    hits, misses = (f"sum by (cache) (rate(waxseal_cache_{what}_total{{@selected}}[$__rate_interval]))" for what in ("hits", "misses"))
    return f"{hits} / ({hits} + {misses})"


GLANCE = [
    Number(
        1, "DNSSEC works", "min(waxseal_dnssec_ok{@selected})",
        """Whether a name server of every instance proved its answer to the last probe. If not, there is no DANE, or all mail waits
        (dane = required, or waxseal validates itself). Ask /readyz of the instance, then look at the resolver: it must validate and
        be on loopback or a trusted path. With dnssec = off it always says no.""",
        words=NO_YES, empty="unknown",
    ),
    Number(
        2, "Policies kept on disk", "min(waxseal_store_ok{@selected})",
        """Whether every instance can write its store. If not, MTA-STS policies live in memory and are lost with the next restart,
        which is when an attacker could suppress them. /readyz and the log say why: the disk is full, or the folder belongs to
        somebody else.""",
        words=NO_YES, empty="unknown",
    ),
    Number(
        3, "Oldest failing refresh", "max(waxseal_mta_sts_oldest_refresh_failure_seconds{@selected})",
        """For how long the MTA-STS policy has failed to be refreshed that has failed the longest. Up to a day is no worry. Later,
        `waxseal policy list` shows which one: it holds until it expires, then the domain is unprotected. Tell its postmaster.""",
        unit="dtdurations", limits=[("green", None), ("yellow", 3600 * 6), ("red", 86400)], empty="unknown",
    ),
    Number(
        4, "MTA-STS policies", "sum(waxseal_mta_sts_policies{@selected})",
        """Policies that are remembered, over all instances; each keeps its own. If it falls to nothing, the store was lost: the log tells.""",
        decimals=0, empty="unknown",
    ),
    Number(
        5, "Rules in force", "max(waxseal_rules{@selected})",
        """Rules that the instance with the most of them has. If it is not what you wrote, run `waxseal config check` and reload.""",
        decimals=0, empty="unknown",
    ),
    Number(
        6, "Configuration in force for", "time() - min(waxseal_config_last_reload_timestamp_seconds{@selected})",
        """The age of the oldest configuration in force. If you changed something and this did not go back to zero, the change is not in
        force: reload, and read the log.""",
        unit="dtdurations", empty="unknown",
    ),
]

LOOKUPS_OF = [
    Graph(
        11, "Destinations looked up, per minute",
        {"{{result}}": per_minute(LOOKUPS, "result", 'source="mx", ')},
        """Look-ups of MX and address records. none: the domain does not exist or takes no mail. failed: DNS gave no answer, and the mail
        waits. If failed grows, look at the resolver first.""",
        stack="normal", width=8,
    ),
    Graph(
        12, "TLSA records looked up, per minute",
        {"{{result}}": per_minute(LOOKUPS, "result", 'source="dane", ')},
        """Look-ups for DANE, one for each host in a signed zone. failed: the zone is signed and its records cannot be had, so mail to
        that host waits. A single domain: its zone is broken, tell its postmaster. All of them: the resolver.""",
        stack="normal", width=8,
    ),
    Graph(
        13, "MTA-STS policies looked up, per minute",
        {"{{result}}": per_minute(LOOKUPS, "result", 'source="mta-sts", ')},
        """Look-ups of MTA-STS policies, in memory or anew. failed: the TXT record cannot be had, so nobody knows whether there is a policy,
        and the mail waits. none: the domain has no policy.""",
        stack="normal", width=8,
    ),
    Graph(
        14, "Failed look-ups, share",
        {"mx": failed_share("mx"), "dane": failed_share("dane"), "mta-sts": failed_share("mta-sts")},
        """The part of the look-ups that failed. A few are the internet. If one line stands above 5 of 100, look at the resolver: is it up,
        does it answer over TCP, does it validate? Mail waits meanwhile, and leaves when it answers again.""",
        unit="percentunit", limit=0.05,
    ),
    Graph(
        15, "DNSSEC works, by instance", {"{{instance}}": "waxseal_dnssec_ok{@selected}"},
        """1: a name server proved its answer to the last probe (at the start, at each reload, every hour). A fall to 0 is an outage of the
        resolver, or somebody on the way strips signatures. Look at /readyz, repair, reload.""",
        most=1,
    ),
]

MTA_STS = [
    Graph(
        21, "Policies fetched, per minute", {"{{result}}": that_occurred("waxseal_mta_sts_fetches_total", "result")},
        """Policies asked for at their web servers. sts-policy-fetch-error: no answer; sts-webpki-invalid: a bad certificate;
        sts-policy-invalid: nonsense. The log names the domain. One domain: tell its postmaster. All of them: can this machine reach the
        internet at port 443, and is its clock right?""",
        stack="normal",
    ),
    Graph(
        22, "Policies remembered", {"{{mode}}": "sum by (mode) (waxseal_mta_sts_policies{@selected})"},
        """By mode: enforce blocks what does not prove itself, testing only counts, none is a policy withdrawn. It grows with the domains
        that you write to. A sudden fall means a lost store.""",
    ),
    Graph(
        23, "Oldest failing refresh, by instance", {"{{instance}}": "waxseal_mta_sts_oldest_refresh_failure_seconds{@selected}"},
        """A line that rises steadily is a web server that is down. If it rises on one instance alone, the trouble is there. Above a day an
        alert tells: `waxseal policy list`, then `waxseal policy refresh DOMAIN`.""",
        unit="dtdurations", limit=86400,
    ),
    Graph(
        24, "Policies kept on disk, by instance", {"{{instance}}": "waxseal_store_ok{@selected}"},
        """1: the store keeps what it is given. 0: memory stands in; /readyz and the log say why. Mend the disk or the folder's owner before
        the next restart.""",
        most=1,
    ),
]

CONFIGURATION = [
    Graph(
        31, "Reloads in the last hour", {"{{result}}": "sum by (result) (increase(waxseal_config_reloads_total{@selected}[1h]))"},
        """A failed reload keeps the old configuration: what you wrote is not in force. `waxseal config check` says what is wrong and where.
        Mend it and reload; a restart with a broken file would fail.""",
        width=12,
    ),
    Graph(
        32, "Configuration in force for, by instance", {"{{instance}}": "time() - waxseal_config_last_reload_timestamp_seconds{@selected}"},
        """The age of what is in force on each instance. In a fleet the lines should lie together; one that stays above the others missed
        a change.""",
        unit="dtdurations", width=12,
    ),
    Graph(
        33, "Rules in force, by instance", {"{{instance}}": "waxseal_rules{@selected}"},
        """All machines of a fleet should have the same number. If one differs, its policies folder is out of date: bring the files there and
        reload.""",
        width=12,
    ),
    Graph(
        34, "Last reload worked, by instance", {"{{instance}}": "waxseal_config_last_reload_successful{@selected}"},
        """1: the last reload worked, or there was none. 0: what is in force is older than what is written, and a restart would fail.
        `waxseal config check` names the file and the line.""",
        most=1,
    ),
]

CACHES = [
    Graph(
        41, "Answered from memory, share",
        {"{{cache}}": cached_share()},
        """The part of the questions that a cache could answer. dns and mta-sts grow with the mail to the same destinations; if dns falls, mail goes to
        many new ones, or [dns] cache_entries is too small. dns-failures and dead-addresses spare mail the wait for what has just
        failed: a rise means an outage.""",
        unit="percentunit", most=1,
    ),
    Graph(
        42, "In memory, entries", {"{{cache}}": "sum by (cache) (waxseal_cache_entries{@selected})"},
        """What the caches hold, over all instances. dead-addresses and dns-failures grow when the line or the resolver fails. dns is bounded by [dns]
        cache_entries, dead-addresses by [mx] dead_entries; the others have room for 100000.""",
    ),
]

DASHBOARD = Dashboard(
    "waxseal-policies", "waxseal: policies",
    "What waxseal knows about the destinations and where from: DNS, DNSSEC, MTA-STS, rules.",
    [
        (100, "At a glance", GLANCE),
        (101, "Look-ups", LOOKUPS_OF),
        (102, "MTA-STS and its store", MTA_STS),
        (103, "Configuration", CONFIGURATION),
        (104, "Caches", CACHES),
    ],
)
