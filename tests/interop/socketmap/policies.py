"""The web server of all MTA-STS policies of the lab."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = "127.54.0.80"


class Answerer(BaseHTTPRequestHandler):
    """Answers with the policy of the domain that was asked for."""

    def do_GET(self):
        policy = self.server.policies.get(self.headers["Host"])
        if policy is None or self.path != "/.well-known/mta-sts.txt":
            self.send_error(404)
            return
        body = policy.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def text(mode, host):
    return f"version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: 86400\r\n"


def serve(lab, policies, chains):
    """Serves `policies`, by host name, each with the certificate chain that `chains` has for it."""
    contexts = {}
    for name, chain in chains.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(chain)
    listener = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener.load_cert_chain(next(iter(chains.values())))

    def choose(connection, name, _):
        connection.context = contexts.get(name, listener)

    listener.sni_callback = choose
    server = ThreadingHTTPServer((ADDRESS, 443), Answerer)
    server.policies = policies
    server.socket = listener.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lab.at_end(server.shutdown)
