"""Where things are."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
GRAFANA = HERE.parents[2] / "grafana"
RULES = sorted((GRAFANA / "prometheus").glob("*.rules.yml"))
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
TESTS = sorted(HERE.glob("*.test.yml"))
