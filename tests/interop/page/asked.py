"""The API, held against its own description by schemathesis."""

import json
import os
import subprocess
import sys
from pathlib import Path

# No schema says what a domain is, so that many that fit it are refused. And a policy that cannot be fetched is a 502: the
# fault is its web server's.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false

[[operations]]
include-path = "/api/v1/policies/{domain}/refresh"
checks.not_a_server_error.enabled = false
"""


def complaints(lab, scene):
    program = Path(sys.executable).parent / "schemathesis"
    printed = json.loads(scene.daemon.ask("generate", "openapi").stdout)
    if printed != scene.json("/api/v1/openapi.json"):
        yield "`waxseal generate openapi` prints something else"
    config = lab.dir / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        program, "--config-file", config, "run", f"{scene.url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {scene.token}",
        "--max-examples", "50", "--seed", "1", "--no-color", "--generation-database", "none", "--warnings", "off",
    ]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          cwd=lab.dir, env={**os.environ, "NO_PROXY": "*"})
    if done.returncode != 0:
        yield f"exit code {done.returncode}"
        yield from (done.stdout + done.stderr).splitlines()[-150:]
