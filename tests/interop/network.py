"""All servers of one run."""

import dns
from internet import DEAD, GATE, MXS, Authority
from lab import free_ports
from postfix import Internet, Sender, way_through_lmtp, way_through_relay, way_without_waxseal
from waxseal import Waxseal


class Network:
    """The internet of the lab, waxseal (unless `binary` is empty), and the MTAs that send."""

    def __init__(self, lab, binary):
        addresses = [GATE, *DEAD, *(mx.address for mx in MXS)]
        names = ("mx", "dns", "relay", "lmtp", "admin", "submit_relay", "submit_lmtp")
        ports = dict(zip(names, free_ports(addresses, len(names))))
        authority = Authority(lab.dir, "lab-ca")
        self.internet = Internet(lab, ports["mx"], authority)
        self.internet.start()
        self.waxseal = None
        if binary:
            self.senders = self._through_waxseal(lab, binary, ports, authority)
        else:
            way = way_without_waxseal(lab, ports["mx"])
            self.senders = {"direct": Sender(lab, "direct", ports["submit_relay"], way)}
        for sender in self.senders.values():
            sender.start()

    def _through_waxseal(self, lab, binary, ports, authority):
        dns.start(lab, ports["dns"])
        other = Authority(lab.dir, "other-ca")
        self.waxseal = Waxseal(lab, binary, ports, authority.certificate, other.certificate)
        self.waxseal.wait_until_ready()
        return {
            "relay": Sender(lab, "relay", ports["submit_relay"], way_through_relay(ports["relay"])),
            "lmtp": Sender(lab, "lmtp", ports["submit_lmtp"], way_through_lmtp(ports["lmtp"])),
        }
