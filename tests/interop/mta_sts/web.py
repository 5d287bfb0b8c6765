"""The web server of the lab: an nginx that has the policies, or fails to have them as a case says."""

import gzip
from dataclasses import dataclass

from lab import Process, listening, wait_until

ADDRESS = "127.54.0.43"
NOBODY = "127.54.0.44"  # nothing listens there

CONFIG = """\
pid {directory}/pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server_names_hash_bucket_size 256;
    ssl_protocols TLSv1.2 TLSv1.3;
    types {{ }}
    client_body_temp_path {directory}/client; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{ listen {address}:443 ssl default_server; ssl_reject_handshake on; }}
{sites}
}}
"""

SITE = """\
    server {{
        listen {address}:443 ssl;
        server_name {name};
        ssl_certificate {chain};
        ssl_certificate_key {chain};
        root {directory};
        default_type "{media_type}";
        location = /.well-known/mta-sts.txt {{ {directives} }}
        location = /{file} {{ internal; }}
    }}
"""


@dataclass(frozen=True)
class Web:
    """How the web server has a policy."""

    shows: str = ""  # its certificate, in the words for those of MX hosts (dane/hosts.py)
    media_type: str = "text/plain"
    directives: str = "try_files /FILE =404;"  # of nginx, where FILE is the policy

    def site(self, name, file, chain, directory):
        directives = self.directives.replace("FILE", file)
        return SITE.format(
            address=ADDRESS, name=name, chain=chain, directory=directory, media_type=self.media_type, directives=directives,
            file=file,
        )


class WebServer:
    """The nginx."""

    def __init__(self, lab):
        self._lab = lab
        self._directory = lab.dir / "web"
        self._directory.mkdir()
        self._sites = {}
        self._process = None

    def put(self, name, web, policy, chain):
        """Puts a policy (octets) on the web server of this name, instead of what was there."""
        (self._directory / name).write_bytes(policy)
        (self._directory / f"{name}.gz").write_bytes(gzip.compress(policy))
        self._sites[name] = web.site(name, name, chain, self._directory)

    def start(self):
        """Starts it, also once more with other sites."""
        if self._process:
            self._process.stop()
        config = self._directory / "nginx.conf"
        config.write_text(CONFIG.format(directory=self._directory, address=ADDRESS, sites="".join(self._sites.values())))
        self._process = Process(self._lab, "nginx", ["nginx", "-c", config, "-g", "daemon off;"])
        wait_until("nginx", lambda: listening(ADDRESS, 443), 20, self._process.running)
