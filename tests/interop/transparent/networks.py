"""Three networks: the gateway (the namespace that this process is in), an MTA behind it, and the internet.

      MTA 10.9.1.2  --  10.9.1.1 gateway 10.9.2.1  --  internet 10.9.2.11 and up
       fd09:1::2        fd09:1::1      fd09:2::1            fd09:2::11 and up

waxseal, the name servers, the web server of the policies and a second MTA, with an egress address of its own, are on the
gateway.
"""

import re
import subprocess

from lab import run

MTA = "10.9.1.2"
INSISTING_MTA = "10.9.1.3"
GATEWAY = "10.9.1.1"  # the name server of the MTA, too
EGRESS = {4: "10.9.2.7", 6: "fd09:2::7"}  # the second address of the gateway's own MTA
BYPASS = ("10.9.2.128/25", "fd09:2::b:0/112")
NOBODY = 9  # the last part of an address that nobody has, or where nobody listens
NAMES = ("wax-mta", "wax-mx")

# A mistake: nobody escapes.
LOOP = """\
table inet waxseal
delete table inet waxseal
table inet waxseal {{
chain out {{ type nat hook output priority -100; tcp dport 25 redirect to :{port}; }}
}}
"""


def inside(name, argv):
    """A command in one of the other networks; its mounts are ours."""
    return ["nsenter", f"--net=/run/netns/{name}", *argv]


def ip(name, *words):
    run(inside(name, ["ip", *words]))


def build(lab):
    """Makes the networks. What is in a namespace ends with it."""
    run(["mkdir", "-p", "/run/netns"])
    # Our mounts are our own, and so are the names of these networks.
    run(["mount", "-t", "tmpfs", "none", "/run/netns"])
    run(["ip", "link", "set", "lo", "up"])
    for number, name in enumerate(NAMES, start=1):
        run(["ip", "netns", "add", name])
        lab.at_end(lambda name=name: run(["ip", "netns", "del", name]))
        run(["ip", "link", "add", f"to-{number}", "type", "veth", "peer", "name", "eth0", "netns", name])
        run(["ip", "link", "set", f"to-{number}", "up"])
        run(["ip", "address", "add", f"10.9.{number}.1/24", "dev", f"to-{number}"])
        run(["ip", "address", "add", f"fd09:{number}::1/64", "dev", f"to-{number}", "nodad"])
        ip(name, "link", "set", "lo", "up")
        ip(name, "link", "set", "eth0", "up")
        for wanted in (f"10.9.{number}.2", f"fd09:{number}::2"):
            address(name, wanted)
        ip(name, "route", "add", "default", "via", f"10.9.{number}.1")
        ip(name, "-6", "route", "add", "default", "via", f"fd09:{number}::1")
    run(["ip", "address", "add", f"{EGRESS[4]}/24", "dev", "to-2"])
    # Deprecated: nobody uses it who does not ask for it.
    run(["ip", "address", "add", f"{EGRESS[6]}/64", "dev", "to-2", "nodad", "preferred_lft", "0"])
    # With the last two a bind to somebody else's address succeeds, which tells nothing of whose it is.
    for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind"):
        run(["sysctl", "-qw", f"{key}=1"])


def on_the_internet(family, last, bypassed):
    """An address there, perhaps one to which connections pass through untouched."""
    if family == 4:
        return f"10.9.2.{last + 128 * bypassed}"
    return f"fd09:2::{'b:' * bypassed}{last}"


def dead(family, bypassed):
    """An address with no mail server; among those of `bypass` there is a machine, which refuses."""
    return on_the_internet(family, NOBODY, bypassed)


def address(name, wanted):
    """One more address in one of the other networks."""
    length, options = (64, ["nodad"]) if ":" in wanted else (24, [])
    ip(name, "address", "add", f"{wanted}/{length}", "dev", "eth0", *options)


def firewall(rules):
    """Puts these rules in force, and no others; and the routes that their comments ask for, if they are not."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    for command in re.findall("(?m)^#   (ip .*)$", rules):
        # Whoever has done it before hears that the file exists.
        subprocess.run(command.split(), stderr=subprocess.DEVNULL)


def no_firewall():
    run(["nft", "delete", "table", "inet", "waxseal"])
