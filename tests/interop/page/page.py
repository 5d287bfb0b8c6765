"""Looks at the page of a waxseal at work as a postmaster would, and asks its API what nobody would ask.

`run` beside this file starts it. `scene.py` is the waxseal and its mail, `looks.py` what is looked at, `asked.py` the API.
"""

import argparse
import os
import sys
from pathlib import Path

import asked
import looks
from lab import LabError
from playwright.sync_api import Error, sync_playwright
from report import conduct
from scene import FATES, Scene


def arguments():
    parser = argparse.ArgumentParser(prog="tests/interop/page/run", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    return parser.parse_args()


def examine(lab, report):
    scene = Scene(lab, os.path.abspath(os.environ["WAXSEAL"]))
    screens = Path(os.environ["SCREENS"])
    screens.mkdir(parents=True, exist_ok=True)
    for recipient in FATES:
        scene.send(recipient)
    with sync_playwright() as playwright:
        # Nothing of the sandbox is under test, and root may not have one.
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        look = looks.Look(browser, scene, screens)
        for looked_at in look.all():
            report.check(looked_at.__name__.strip("_").replace("_", "-"), looked_at)
        browser.close()
    report.check("the-api-is-what-its-description-says", lambda: asked.complaints(lab, scene))
    report.check("the-log-has-no-token", lambda: ["the token is in the log"] if scene.token in scene.daemon.log() else [])


def main():
    return conduct(examine, arguments().keep, (LabError, OSError, Error))


if __name__ == "__main__":
    sys.exit(main())
