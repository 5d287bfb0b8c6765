"""Checks on the whole run, after the last message."""

from collections import Counter

from cases import Arrives
from internet import DOMAINS, LOCAL_PARTS, MAILBOXES
from message import Delivered


def all_delivered(internet):
    """Every file in every mailbox of the lab."""
    addresses = (f"{local_part}@{domain}" for domain in DOMAINS for local_part in MAILBOXES)
    return [Delivered.read(path) for address in addresses for path in internet.maildir(address)]


def nothing_lost_nothing_doubled(network, trials):
    """The mailboxes hold what the cases say, once: a late second copy shows up here."""
    expected = Counter(
        (trial.message.id, recipient)
        for trial in trials
        for recipient, fate in trial.case.fates.items()
        if isinstance(fate, Arrives)
    )
    found = Counter((file.message_id, file.recipient) for file in all_delivered(network.internet))
    yield from (f"lost: {what}" for what in expected - found)
    yield from (f"too many: {what}" for what in found - expected)


def metrics_agree_with_the_mailboxes(network):
    """waxseal's counters, sealed and open, against what the MX took in."""
    delivered = all_delivered(network.internet)
    for encryption in ("tls", "plaintext"):
        files = [file for file in delivered if bool(file.tls) == (encryption == "tls")]
        truth = {
            "waxseal_deliveries_total": len({file.transaction for file in files}),
            "waxseal_recipients_total": len(files),
        }
        for metric, count in truth.items():
            counted = network.waxseal.total(metric, f'encryption="{encryption}"')
            if counted != count:
                yield f'{metric}{{encryption="{encryption}"}} is {counted}, the mailboxes say {count}'
    observed = {file.transaction for file in delivered if file.recipient.endswith("@careful.example")}
    counted = network.waxseal.total("waxseal_would_block_total")
    if counted != len(observed):
        yield f"waxseal_would_block_total is {counted}, the mailboxes say {len(observed)}"


def log_names_nobody(network, trials):
    """waxseal's log names domains, but no local part."""
    log = network.waxseal.log().lower()
    domains = {recipient.partition("@")[2] for trial in trials for recipient in trial.case.fates}
    yield from (f"the log does not mention {domain}" for domain in sorted(domains) if domain not in log)
    yield from (f"the log mentions {local_part}" for local_part in LOCAL_PARTS if local_part in log)


def stops_when_told(network):
    """SIGTERM ends waxseal with success, well before a service manager would lose patience."""
    if not network.waxseal.process.running():
        yield "it had ended before"
        return
    code = network.waxseal.process.stop(patience=40)
    if code != 0:
        yield f"exit code {code} after SIGTERM (negative: the signal that ended it)"
