"""How the dashboards are built. Grafana itself is not at hand, so this is what it would stumble over."""

import json
import re
from collections import Counter

from places import DASHBOARDS

# Of Grafana's own units those that are used.
UNITS = {"short", "percentunit", "s", "dtdurations", "bytes", "Bps"}
COLORS = {"text", "green", "dark-green", "yellow", "red", "blue", "purple"}
TYPES = {"row", "stat", "timeseries"}  # built in
VARIABLES = ["datasource", "job", "instance"]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTED = 'job=~"$job", instance=~"$instance"'
COLUMNS = 24


def complaints():
    """What is wrong with any dashboard."""
    pages = {path.name: json.loads(path.read_text()) for path in DASHBOARDS}
    yield from _twice("uid", (page["uid"] for page in pages.values()))
    yield from _twice("title", (page["title"] for page in pages.values()))
    for name, page in pages.items():
        yield from (f"{name}: {complaint}" for complaint in _of_page(page))


def _twice(what, values):
    return (f"{what} {value!r} {count} times" for value, count in Counter(values).items() if count > 1)


def _of_page(page):
    if not re.fullmatch(r"[a-z-]{1,40}", page["uid"]):
        yield f"uid {page['uid']!r}"
    if "id" in page or "__inputs" in page:
        yield "exported from a Grafana: it has the ids of that one"
    if [variable["name"] for variable in page["templating"]["list"]] != VARIABLES:
        yield f"its variables are not {VARIABLES}"
    if not any(link["type"] == "dashboards" and link["tags"] == ["waxseal"] for link in page["links"]):
        yield "no link to the other dashboards"
    panels = page["panels"]
    yield from _twice("id", (panel["id"] for panel in panels))
    yield from _twice("panel", (panel["title"] for panel in panels))
    yield from _overlaps(panels)
    for panel in panels:
        yield from (f"{panel['title']}: {complaint}" for complaint in _of_panel(panel))


def _overlaps(panels):
    taken = {}
    for panel in panels:
        grid = panel["gridPos"]
        if grid["x"] < 0 or grid["w"] < 1 or grid["x"] + grid["w"] > COLUMNS:
            yield f"{panel['title']} sticks out"
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if (x, y) in taken:
                    yield f"{panel['title']} lies on {taken[x, y]}"
                    return
                taken[x, y] = panel["title"]


def _of_panel(panel):
    if panel["type"] not in TYPES:
        yield f"type {panel['type']}"
    if panel["type"] == "row":
        return
    if len(panel["description"]) < 60:
        yield "its description says too little"
    if panel["datasource"] != DATASOURCE:
        yield "another data source"
    yield from _of_field(panel["fieldConfig"])
    targets = panel["targets"]
    yield from _twice("refId", (target["refId"] for target in targets))
    for target in targets:
        yield from _of_target(target, panel)
    if not targets:
        yield "no query"


def _of_field(config):
    defaults = config["defaults"]
    if defaults["unit"] not in UNITS:
        yield f"unit {defaults['unit']}"
    steps = defaults["thresholds"]["steps"]
    values = [step["value"] for step in steps]
    if values[0] is not None or values[1:] != sorted(values[1:]):
        yield f"thresholds {values}"
    colors = [step["color"] for step in steps]
    for override in config["overrides"]:
        colors += [entry["value"]["fixedColor"] for entry in override["properties"]]
    yield from (f"colour {color}" for color in colors if color not in COLORS)


def _of_target(target, panel):
    text = target["expr"]
    if target["datasource"] != DATASOURCE:
        yield f"another data source: {text}"
    if text.count("{") != text.count(SELECTED) or not text.count(SELECTED):
        yield f"not of the chosen instances: {text}"
    if bool(target["legendFormat"]) != (panel["type"] == "timeseries"):
        yield f"legend {target['legendFormat']!r}"
    if target["instant"] == target["range"] or target["instant"] != (panel["type"] == "stat"):
        yield f"instant or not: {text}"
