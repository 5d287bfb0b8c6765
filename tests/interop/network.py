"""All servers of one run."""

import dns
from internet import DEAD, GATE, MXS, Authority
from lab import free_ports
from postfix import Internet, Sender, one_by_one, way_through_lmtp, way_through_relay, way_without_waxseal
from waxseal import Waxseal


PORTS = ("mx", "dns", "relay", "lmtp", "admin", "submit1", "submit2", "submit3")


class Network:
    """The internet of the lab, waxseal (unless `binary` is empty), and the MTAs that send."""

    def __init__(self, lab, binary):
        addresses = [GATE, *DEAD, *(mx.address for mx in MXS)]
        ports = dict(zip(PORTS, free_ports(addresses, len(PORTS))))
        authorities = {name: Authority(lab.dir, f"{name}-ca") for name in ("lab", "other")}
        self.internet = Internet(lab, ports["mx"], authorities)
        self.internet.start()
        self.waxseal = None
        if binary:
            self.senders = self._through_waxseal(lab, binary, ports, authorities["lab"])
        else:
            way = way_without_waxseal(lab, ports["mx"])
            self.senders = {"direct": Sender(lab, "direct", ports["submit1"], way)}
        for sender in self.senders.values():
            sender.start()

    def _through_waxseal(self, lab, binary, ports, authority):
        dns.start(lab, ports["dns"])
        self.waxseal = Waxseal(lab, binary, ports, authority.certificate)
        self.waxseal.wait_until_ready()
        relay, lmtp = way_through_relay(ports["relay"]), way_through_lmtp(ports["lmtp"])
        return {
            "relay": Sender(lab, "relay", ports["submit1"], relay),
            "relay-one-by-one": Sender(lab, "relay-one-by-one", ports["submit2"], relay + one_by_one()),
            "lmtp": Sender(lab, "lmtp", ports["submit3"], lmtp),
        }
