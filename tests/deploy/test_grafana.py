"""The dashboard: well formed, nothing overlaps, and every query names what exists."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "clarion.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
PROMTOOL = os.environ.get("CLARION_PROMTOOL") or shutil.which("promtool")


def test_it_is_a_dashboard() -> None:
    assert DASHBOARD["uid"] == "clarion"
    assert DASHBOARD["schemaVersion"] >= 39
    assert "id" not in DASHBOARD  # a number of the Grafana it was exported from; it must be free elsewhere
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"source", "channel"}


def test_panels_lie_side_by_side_within_24_columns() -> None:
    boxes = [panel["gridPos"] for panel in PANELS]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for a, b in itertools.combinations(boxes, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: f"{panel['id']}-{panel['title']}")
def test_a_panel_asks_for_what_exists(panel: dict[str, Any]) -> None:
    assert panel["type"] in {"timeseries", "stat"}
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${source}"
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    for target in panel["targets"]:
        assert promql.mistakes(target["expr"]) == []


def test_it_shows_all_that_the_issue_asks_for() -> None:
    asked = " ".join(target["expr"] for panel in GRAPHS for target in panel["targets"])
    for name in promql.series():
        if name.startswith("clarion_") and name.endswith(("_total", "_bucket")) and "claims" not in name:
            assert name in asked, name
    for name in ("clarion_backlog", "clarion_queue_pollers", "clarion_dead_letters", "clarion_lane_depth"):
        assert name in asked


def test_grafana_finds_it() -> None:
    provider = yaml.safe_load((FOLDER / "dashboards.yaml").read_text())["providers"][0]
    source = yaml.safe_load((FOLDER / "datasource.yaml").read_text())["datasources"][0]
    compose = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text())["services"]
    mounted = {line.split(":")[0]: line.split(":")[1] for line in compose["grafana"]["volumes"]}

    assert mounted["./deploy/grafana/clarion.json"].startswith(provider["options"]["path"] + "/")
    assert source["url"].split("//")[1].split(":")[0] in compose
    assert DASHBOARD["templating"]["list"][0]["current"]["value"] == source["uid"]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (set CLARION_PROMTOOL to its path)")
def test_promtool_parses_every_query(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    queries = [target["expr"] for panel in GRAPHS for target in panel["targets"]]
    rules = [
        {"record": f"query:{n}", "expr": query.replace("$__rate_interval", "1m")} for n, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
