"""A fuzz run's progress, its table, and what it found."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.fuzz import routes, webhooks
from cli import output


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over."""

    seed: int
    routes: Sequence[routes.Outcome]
    webhooks: webhooks.Outcome

    @property
    def findings(self) -> list[str]:
        """What must not be, a line each."""
        tried = [f"as {one.caller}: {line} (see {one.log})" for one in self.routes for line in one.findings]
        return tried + self.webhooks.findings


@contextmanager
def shown_progress(total: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error while it runs; call it with how many are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("bent webhooks", total=total)
        yield lambda done: bar.update(task, completed=done)


def show(run: Run) -> None:
    """The table, then the findings."""
    rows = [[f"routes, as {one.caller}", str(one.cases), _verdict(len(one.findings))] for one in run.routes]
    rows += [[f"webhook of {name}", str(calls), answers] for name, calls, answers in _by_scheme(run.webhooks)]
    output.table(("tried", "cases", "outcome"), rows, none="Nothing was tried.")
    cases = sum(one.cases for one in run.routes)
    output.say(f"Seed {run.seed}: {cases} requests to routes, {run.webhooks.calls} bent webhook calls.")
    if run.webhooks.same:
        output.say(
            f"{run.webhooks.same} bent calls still said what was signed: they were repeats, and changed nothing."
        )
    for line in run.findings:
        output.say(f"FOUND {line}")
    output.say("Something gave way." if run.findings else "Nothing gave way.")


def _by_scheme(outcome: webhooks.Outcome) -> list[tuple[str, int, str]]:
    answers: dict[str, Counter[int]] = {}
    for (scheme, status), times in outcome.statuses.items():
        answers.setdefault(scheme, Counter())[status] += times
    return [
        (scheme, each.total(), ", ".join(f"{times} x {status}" for status, times in sorted(each.items())))
        for scheme, each in sorted(answers.items())
    ]


def _verdict(findings: int) -> str:
    return f"{findings} found" if findings else "nothing found"
