"""Private Postfix instances: those that send, each by one way, and one that plays every MX."""

import json
import pwd
import re
import shutil

from internet import DOMAINS, GATE, MAILBOXES, MXS, SENDER
from lab import listening, run, wait_until

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
mail_owner = postfix
setgid_group = postdrop
inet_protocols = ipv4
# The listeners in master.cf name their own loopback addresses, which Postfix would not accept here.
inet_interfaces = loopback-only
myhostname = {name}.example
mydestination =
alias_maps =
alias_database =
local_transport = error:nobody lives here
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
biff = no
# Not a byte of the message may change on Postfix's own account.
local_header_rewrite_clients =
message_size_limit = 104857600
virtual_mailbox_limit = 0
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = texthash:{dir}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

SENDING = """\
virtual_mailbox_domains = sender.example
# Failures are retried within seconds instead of minutes.
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
"""

RECEIVING = """\
virtual_mailbox_domains = texthash:{dir}/domains
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
# Postfix slows down a client that errs; waxseal carries the errors of all its senders.
smtpd_error_sleep_time = 0
"""

# service type private unpriv chroot wakeup maxproc command
MASTER = """\
pickup    unix       n - n 60   1 pickup
cleanup   unix       n - n -    0 cleanup
qmgr      unix       n - n 300  1 qmgr
tlsmgr    unix       - - n 1000? 1 tlsmgr
rewrite   unix       - - n -    - trivial-rewrite
bounce    unix       - - n -    0 bounce
defer     unix       - - n -    0 bounce
trace     unix       - - n -    0 bounce
verify    unix       - - n -    1 verify
flush     unix       n - n 1000? 0 flush
proxymap  unix       - - n -    - proxymap
smtp      unix       - - n -    - smtp
lmtp      unix       - - n -    - lmtp
showq     unix       n - n -    - showq
error     unix       - - n -    - error
retry     unix       - - n -    - error
discard   unix       - - n -    - discard
virtual   unix       - n n -    - virtual
anvil     unix       - - n -    1 anvil
scache    unix       - - n -    1 scache
postlog   unix-dgram n - n -    1 postlogd
"""


class Instance:
    """One Postfix with its own configuration, queue and log."""

    def __init__(self, lab, name, main, master, mailboxes):
        self.name = name
        self.dir = lab.dir / name
        self.mail = self.dir / "mail"
        self.log = self.dir / "maillog"
        self.config = self.dir / "etc"
        self._make_directories()
        nobody = pwd.getpwnam("nobody")
        settings = {"dir": self.dir, "name": name, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
        (self.config / "main.cf").write_text((MAIN + main).format(**settings))
        (self.config / "master.cf").write_text(MASTER + master)
        lines = (f"{address} {maildir}\n" for address, maildir in mailboxes)
        (self.dir / "mailboxes").write_text("".join(lines))
        lab.at_end(self.stop)

    def _make_directories(self):
        for directory in (self.dir, self.config, self.dir / "queue"):
            directory.mkdir()
        (self.dir / "data").mkdir()
        shutil.chown(self.dir / "data", "postfix")
        self.mail.mkdir()
        shutil.chown(self.mail, "nobody")

    def start(self):
        run(["postfix", "-c", self.config, "start"])

    def stop(self):
        pid = self.dir / "queue/pid/master.pid"
        if pid.exists():
            run(["postfix", "-c", self.config, "stop"])
            pid.unlink(missing_ok=True)  # so that it is not stopped again

    def queue(self):
        """What waits in the queue: queue id -> {recipient: reason of the delay}."""
        lines = run(["postqueue", "-c", self.config, "-j"]).splitlines()
        entries = map(json.loads, lines)
        return {
            entry["queue_id"]: {to["address"]: to.get("delay_reason", "") for to in entry["recipients"]}
            for entry in entries
        }

    def drop(self, queue_id):
        """Takes a message out of the queue."""
        run(["postsuper", "-c", self.config, "-d", queue_id])

    def maildir(self, address):
        """The delivered messages of one mailbox, as paths."""
        local_part, _, domain = address.partition("@")
        return sorted((self.mail / domain / local_part / "new").glob("*"))

    def log_of(self, queue_id):
        """What the log tells of one message."""
        return [line for line in self.log.read_text().splitlines() if f" {queue_id}: " in line]

    def sent_lines(self, queue_id, recipient):
        """The log lines that tell that a recipient's mail was handed on."""
        pattern = re.compile(rf": to=<{re.escape(recipient)}>,.* status=sent ")
        return [line for line in self.log_of(queue_id) if pattern.search(line)]


class Sender(Instance):
    """An MTA that takes mail by SMTP at GATE:port and sends everything on by one way."""

    def __init__(self, lab, via, port, way_out):
        self.port = port
        mailbox = (SENDER, "{1}/{0}/".format(*SENDER.split("@")))
        listener = f"{GATE}:{port} inet n - n - - smtpd\n"
        super().__init__(lab, f"sender-{via}", SENDING + way_out, listener, [mailbox])

    def start(self):
        super().start()
        wait_until(self.name, lambda: listening(GATE, self.port), 20)


class Internet(Instance):
    """All MX of the lab: one Postfix, one listener per MX host, all with the same port."""

    def __init__(self, lab, port, authorities):
        self.port = port
        mailboxes = [
            (f"{local_part}@{domain}", f"{domain}/{local_part}/") for domain in DOMAINS for local_part in MAILBOXES
        ]
        listeners = "".join(self._listener(mx, authorities) for mx in MXS)
        super().__init__(lab, "internet", RECEIVING, listeners, mailboxes)
        (self.dir / "domains").write_text("".join(f"{domain} -\n" for domain in DOMAINS))

    def _listener(self, mx, authorities):
        lines = [
            f"{mx.address}:{self.port} inet n - n - - smtpd",
            f"    -o myhostname={mx.host}",
            f"    -o smtpd_tls_security_level={mx.tls}",
        ]
        if mx.certified_as:
            chain = authorities[mx.certified_by].issue(mx.certified_as)
            lines.append(f"    -o smtpd_tls_chain_files={chain}")
        return "\n".join(lines) + "\n"

    def start(self):
        super().start()
        for mx in MXS:
            wait_until(mx.host, lambda mx=mx: listening(mx.address, self.port), 20)


def way_through_relay(port, gate=GATE):
    """Settings of an MTA that uses waxseal's `relay` listener.

    Postfix puts all recipients of a message into one transaction with its relayhost. waxseal takes those of one domain and
    answers 452 4.5.3 to the others, which Postfix tries again at its next retry: a message to five domains takes four retries.
    """
    return f"relayhost = [{gate}]:{port}\nsmtp_tls_security_level = none\n"


def one_by_one():
    """Added to the way through `relay`: a transaction per recipient, hence no 452 4.5.3 and no retries."""
    return "smtp_destination_recipient_limit = 1\n"


def way_through_lmtp(port, gate=GATE):
    """Settings of an MTA that uses waxseal's `lmtp` listener."""
    return f"default_transport = lmtp:inet:{gate}:{port}\nlmtp_tls_security_level = none\n"


def way_without_waxseal(lab, port):
    """Settings of an MTA that finds the MX of the lab in a table and goes there itself."""
    table = lab.dir / "direct-transport"
    table.write_text("".join(f"{domain} smtp:[{mx.address}]:{port}\n" for domain, mx in DOMAINS.items()))
    return f"transport_maps = texthash:{table}\nsmtp_tls_security_level = may\n"
