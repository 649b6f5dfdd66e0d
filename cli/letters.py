"""Retrying and discarding dead letters: one by one by id, or many by a filter, counted first and asked about."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import typer

from cli import output
from cli.client import Api, segment
from cli.errors import FAILED, WRONG, Failure, Refused
from cli.progress import Progress

_NAMES = {"since": "from", "until": "to"}  # as the API calls them
_GONE = frozenset({"not_found", "not_dead"})  # somebody was first


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant; what is not said is no condition."""

    channel: str | None = None
    provider: str | None = None
    reason: str | None = None
    since: str | None = None
    until: str | None = None

    def said(self) -> dict[str, str]:
        """The conditions, as the API takes them."""
        return {_NAMES.get(name, name): value for name, value in asdict(self).items() if value is not None}

    def chosen(self, ids: Sequence[str] | None, *, every: bool) -> Self:
        """Itself, if exactly one way was used to say which. Raises typer.BadParameter."""
        ways = (bool(ids), bool(self.said()), every)
        if sum(ways) != 1:
            raise typer.BadParameter("say which: ids, or a filter such as --channel sms, or --all")
        return self


def by_id(api: Api, ids: Sequence[str], action: str, body: dict[str, str], *, as_json: bool) -> None:
    """Retry or discard these. Prints how each now stands; exit code 1 if one could not be."""
    done: list[dict[str, Any]] = []
    refused = False
    for id in ids:
        try:
            done.append(_one(api, id, action, body))
        except Refused as error:
            if error.code not in _GONE:
                raise
            refused = True
            output.note(f"{id}: {error}")
    if as_json:
        output.document(done)
    elif done:
        output.table(("delivery", "now"), [(each["delivery_id"], each["status"]) for each in done], none="")
    if refused:
        raise typer.Exit(FAILED)


class Letters:
    """Many at once."""

    def __init__(self, api: Api, which: Filter, *, yes: bool, as_json: bool) -> None:
        self._api, self._which, self._yes, self._as_json = api, which.said(), yes, as_json

    def retry(self, how: dict[str, str]) -> None:
        """Queue them again."""
        self._move("retry", "retried", how)

    def discard(self) -> None:
        """Give them up."""
        self._move("discard", "discarded", {})

    def _move(self, action: str, done: str, how: dict[str, str]) -> None:
        """Some thousands a request."""
        path, total = f"/dead-letters/{action}", 0
        matched = self._agreed(path, action)
        with Progress(f"{action.capitalize()}ing", matched) as progress:
            while total < matched:
                answer = self._api.call("POST", path, {"filter": self._which, **how})
                total += answer[done]
                progress.at(total)
                if not answer[done] or not answer["remaining"]:
                    break
        self._tell(done, total, matched)

    def _agreed(self, path: str, action: str) -> int:
        """How many there are, once a person has agreed. Raises typer.Exit, Failure."""
        matched: int = self._api.call("POST", path, {"filter": self._which, "dry_run": True})["matched"]
        if matched and not self._yes:
            if not sys.stdin.isatty():
                raise Failure(f"This would {action} {_letters(matched)}: say --yes to do it.", exit_code=WRONG)
            typer.confirm(f"{action.capitalize()} {_letters(matched)}?", abort=True, err=True)
        return matched

    def _tell(self, done: str, total: int, matched: int) -> None:
        if self._as_json:
            output.document({"matched": matched, done: total})
        else:
            output.say(f"{total} of {_letters(matched)} {done}")
        if total < matched:
            output.note("The others were settled meanwhile, or their channel has no such provider.")
            raise typer.Exit(FAILED)


def _one(api: Api, id: str, action: str, body: dict[str, str]) -> dict[str, Any]:
    return api.call("POST", f"/dead-letters/{segment(id)}/{action}", body or None)


def _letters(number: int) -> str:
    return f"{number} dead letter{'' if number == 1 else 's'}"
