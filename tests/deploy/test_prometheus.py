"""The alert rules: they name what exists, each has a test, and promtool agrees where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
PROMTOOL = os.environ.get("CLARION_PROMTOOL") or shutil.which("promtool")

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]


def named(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *([rule["labels"]["priority"]] if "priority" in rule["labels"] else [])])


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_names_what_exists_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert promql.mistakes(rule["expr"]) == []
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["description"]) > 40


def test_the_check_of_names_finds_mistakes() -> None:
    assert promql.mistakes("rate(clarion_send_total[5m])") == ["no metric clarion_send_total"]
    assert promql.mistakes('clarion_sends_total{tenant="x"}') == ["clarion_sends_total has no label tenant"]
    assert promql.mistakes('clarion_sends_total{outcome=~"accepted|lost"}') == ["outcome is never lost"]
    assert promql.mistakes("sum by (queue) (clarion_sends_total)") == ["no metric here has a label queue"]


def test_every_alert_has_a_test_that_fires_and_names_are_unique() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {
        rule["alert"]
        for rule in RULES
        for test in tests
        for query in test["promql_expr_test" if "promql_expr_test" in test else "alert_rule_test"]
        if f'alertname="{rule["alert"]}"' in query.get("expr", "") and query["exp_samples"]
    }
    assert fired == {rule["alert"] for rule in RULES}
    assert len({named(rule) for rule in RULES}) == len(RULES)


def test_what_is_scraped_is_in_the_compose_file() -> None:
    services = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text())["services"]
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {name for job in jobs for found in job.get("dns_sd_configs", []) for name in found["names"]}
    scraped |= {t.split(":")[0] for job in jobs for static in job.get("static_configs", []) for t in static["targets"]}

    assert scraped <= set(services)
    ours = {name for name, service in services.items() if "--metrics-port" in (service.get("command") or [])}
    assert ours == {name for name in scraped if name == "api" or name.startswith("worker-")}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (set CLARION_PROMTOOL to its path)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"), ("check", "config", "prometheus.yml")],
    ids=" ".join,
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
