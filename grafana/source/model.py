"""What a dashboard is made of, and the JSON that Grafana wants for it.

In a query `@selected` stands for the selection that the variables at the top of the page make: the job and the instances.
Numbers of panels are their ids: links point at them, so they stay when panels move.
"""

SCHEMA_VERSION = 42  # of Grafana 12.2 and later
SELECTED = 'job=~"$job", instance=~"$instance"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

# The same thing has the same colour on every page, by label and value. Grafana's names have a shade for light pages and one
# for dark ones.
COLORS = {
    "encryption": {"tls": "green", "plaintext": "red"},
    "result": {"ready": "green", "ok": "green", "failed": "red", "found": "green", "none": "blue"},
    "version": {"TLSv1.3": "green", "TLSv1.2": "yellow"},
    "key_exchange": {"X25519MLKEM768": "dark-green"},
    "policy": {"dane": "dark-green", "mta-sts": "blue", "rule": "purple", "opportunistic": "yellow"},
}
# By the whole legend.
LEGEND_COLORS = {
    "dane": "dark-green", "pkix": "blue", "fingerprint": "purple", "TLS, nobody proven": "yellow", "plaintext": "red",
}


def query(text):
    """A query on one line, with the selection in place."""
    return " ".join(text.split()).replace("@selected", SELECTED)


# ------------------------------------------------------------------------------------------------ queries


def per_minute(metric, by, where=""):
    """Events per minute, summed over everything but the labels `by`."""
    return f"sum by ({by}) (rate({metric}{{{where}@selected}}[$__rate_interval])) * 60"


def that_occurred(metric, by, where=""):
    """As `per_minute`, of those alone that occurred at all in the time shown: most reasons never do."""
    return f"""{per_minute(metric, by, where)}
        and sum by ({by}) (increase({metric}{{{where}@selected}}[$__range] @ end())) > 0"""


def share(metric, where, by=""):
    """The part of all events that `where` picks."""
    by = f" by ({by})" if by else ""
    part, whole = (f"sum{by} (rate({metric}{{{labels}@selected}}[$__rate_interval]))" for labels in (where, ""))
    return f"{part} / {whole}"


def share_of_range(metric, where):
    """The part of all events that `where` picks, over the whole time shown."""
    part, whole = (f"sum(increase({metric}{{{labels}@selected}}[$__range]))" for labels in (where, ""))
    return f"{part} / {whole}"


def quantiles(metric):
    """The usual three, as series of a panel."""
    buckets = f"sum by (le) (rate({metric}_bucket{{@selected}}[$__rate_interval]))"
    names = {"half are faster than": 0.5, "95 of 100 are faster than": 0.95, "99 of 100 are faster than": 0.99}
    return {name: f"histogram_quantile({quantile}, {buckets})" for name, quantile in names.items()}


# ------------------------------------------------------------------------------------------------- panels


class Panel:
    """A panel; `series` maps legends to queries."""

    def __init__(self, number, title, series, description, width, height):
        self.number, self.width, self.height = number, width, height
        self._title, self._series, self._description = title, series, description

    def json(self, x, y):
        return {
            "id": self.number,
            "type": self.type,
            "title": self._title,
            "description": " ".join(self._description.split()),
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(chr(ord("A") + at), *entry) for at, entry in enumerate(self._series.items())],
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides()},
            "options": self.options(),
        }

    def _target(self, ref, legend, text):
        return {
            "refId": ref,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": query(text),
            "legendFormat": legend,
            "instant": self.instant,
            "range": not self.instant,
        }

    def overrides(self):
        return []


class Number(Panel):
    """One number over the whole time shown. `limits` are the values from which it is yellow, red, ..."""

    type = "stat"
    instant = True

    def __init__(self, number, title, text, description, unit="short", limits=(), width=4, empty="none", decimals=None,
                 words=None):
        super().__init__(number, title, {"": text}, description, width, 4)
        self._unit, self._limits, self._empty, self._decimals, self._words = unit, limits, empty, decimals, words

    def defaults(self):
        steps = [{"color": color, "value": value} for color, value in self._limits] or [{"color": "text", "value": None}]
        mappings = []
        if self._words:
            options = {value: {"text": text, "color": color, "index": at}
                       for at, (value, (text, color)) in enumerate(self._words.items())}
            mappings = [{"type": "value", "options": options}]
        return {
            "unit": self._unit,
            **({} if self._decimals is None else {"decimals": self._decimals}),
            "color": {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": mappings,
            "noValue": self._empty,
        }

    def options(self):
        return {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "value",
            "wideLayout": True,
        }


class Graph(Panel):
    """Lines over time. `stack` is "normal" or "percent"; `most` the top of the axis."""

    type = "timeseries"
    instant = False

    def __init__(self, number, title, series, description, unit="short", stack="none", width=12, most=None, limit=None):
        super().__init__(number, title, series, description, width, 8)
        self._unit, self._stack, self._most, self._limit = unit, stack, most, limit

    def defaults(self):
        steps = [{"color": "green", "value": None}]
        if self._limit is not None:
            steps.append({"color": "red", "value": self._limit})
        return {
            "unit": self._unit,
            "min": 0,
            **({} if self._most is None else {"max": self._most}),
            "color": {"mode": "palette-classic"},
            "custom": self._custom(),
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": [],
            "noValue": "none in this time",
        }

    def _custom(self):
        return {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1 if self._stack != "none" else 2,
            "fillOpacity": 40 if self._stack != "none" else 0,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": self._stack, "group": "A"},
            "thresholdsStyle": {"mode": "off" if self._limit is None else "dashed"},
        }

    def overrides(self):
        colors = {legend: LEGEND_COLORS[legend] for legend in self._series if legend in LEGEND_COLORS}
        for legend in self._series:
            colors.update(COLORS.get(legend.removeprefix("{{").removesuffix("}}"), {}) if legend.startswith("{{") else {})
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
            }
            for name, color in colors.items()
        ]

    def options(self):
        return {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": True},
        }


# --------------------------------------------------------------------------------------------- dashboards


class Dashboard:
    """A page: rows (number, title, panels), from top to bottom, panels from left to right."""

    def __init__(self, uid, title, description, rows):
        self.uid = uid
        self._title, self._description, self._rows = title, description, rows

    def json(self):
        return {
            "uid": self.uid,
            "title": self._title,
            "description": " ".join(self._description.split()),
            "tags": ["waxseal", "mail"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": "now-24h", "to": "now"},
            "refresh": "1m",
            "fiscalYearStartMonth": 0,
            "links": [links()],
            "annotations": {"list": [reloads()]},
            "templating": {"list": [datasource(), *selections()]},
            "panels": list(self._panels()),
        }

    def _panels(self):
        y = 0
        for number, title, panels in self._rows:
            yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                   "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
            x, y, height = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > COLUMNS:
                    x, y, height = 0, y + height, 0
                yield panel.json(x, y)
                x, height = x + panel.width, max(height, panel.height)
            y += height


def links():
    """To the other dashboards of waxseal, with the same time and selection."""
    return {
        "type": "dashboards", "title": "waxseal", "tags": ["waxseal"], "asDropdown": False, "icon": "external link",
        "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
    }


def reloads():
    """A mark where a configuration came into force: at the start and at each reload."""
    return {
        "name": "Configuration in force",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "target": {
            "refId": "Anno",
            "expr": query("waxseal_config_last_reload_timestamp_seconds{@selected} * 1000"),
            "interval": "60s",
        },
        "titleFormat": "Configuration in force",
        "textFormat": "{{instance}}",
        "useValueForTime": True,
    }


def datasource():
    return {
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {},
        "hide": 0, "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "", "skipUrlSync": False,
    }


def selections():
    """Job and instances, all of them to begin with."""
    yield selection("job", "Job", "label_values(waxseal_build_info, job)")
    yield selection("instance", "Instance", 'label_values(waxseal_build_info{job=~"$job"}, instance)')


def selection(name, label, text):
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": text,
        "query": {"qryType": 1, "query": text, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "allValue": ".+", "includeAll": True, "multi": True, "hide": 0, "options": [], "refresh": 2, "regex": "",
        "skipUrlSync": False, "sort": 1,
    }
