"""The API, held against its own description by schemathesis."""

import json
import os
import subprocess
import sys
from pathlib import Path

# A policy that cannot be fetched is a 502: the fault is its web server's.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance," \
    "negative_data_rejection,unsupported_method,use_after_free,ignored_auth"


def complaints(lab, scene):
    program = Path(sys.executable).parent / "schemathesis"
    printed = json.loads(scene.daemon.ask("generate", "openapi").stdout)
    if printed != scene.json("/api/v1/openapi.json"):
        yield "`waxseal generate openapi` prints something else"
    command = [
        program, "run", f"{scene.url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {scene.token}",
        "--checks", CHECKS, "--max-examples", "25", "--seed", "1", "--no-color", "--generation-database", "none",
    ]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          cwd=lab.dir, env={**os.environ, "NO_PROXY": "*", "SCHEMATHESIS_HOOKS": ""})
    if done.returncode != 0:
        yield f"exit code {done.returncode}"
        yield from (done.stdout + done.stderr).splitlines()[-150:]
