"""The Kubernetes example: one queue, named the same everywhere."""

from pathlib import Path

import yaml

from domain.priorities import Priority, delivery_queue

FILE = Path(__file__).parents[2] / "deploy" / "keda" / "worker.yaml"


def test_one_queue_from_end_to_end() -> None:
    deployment, scaled = yaml.safe_load_all(FILE.read_text())
    queue = delivery_queue("email", Priority.NORMAL)
    pod = deployment["spec"]["template"]
    worker = pod["spec"]["containers"][0]
    trigger = scaled["spec"]["triggers"][0]

    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert worker["args"][worker["args"].index("--queues") + 1] == queue
    assert (trigger["type"], trigger["metadata"]["taskQueue"]) == ("temporal", queue)
    assert trigger["metadata"]["queueTypes"] == "activity"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA refuses numbers here
