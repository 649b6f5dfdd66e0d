"""`clarion send`: one notification, from words, files or a pipe."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import moments, options, output
from cli.client import Api
from cli.errors import FAILED

_RECIPIENT = 'A recipient as JSON: {"id": "ann", "email": "ann@example.com", "phone": "+14155550100"}. Repeatable.'


def send(
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="The text; `-` reads standard input.")
    ] = None,
    *,
    to: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A recipient's id, email address or number. Repeatable.")
    ] = None,
    recipient: Annotated[list[str] | None, typer.Option(metavar="JSON", help=_RECIPIENT)] = None,
    channel: Annotated[
        list[str], typer.Option("--channel", "-c", metavar="NAME", help="email, sms, push. Repeatable, or `email,sms`.")
    ],
    message_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Read the text from a file; `-`: standard input.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="Of an email.")] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="A file with the HTML of an email.")] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Of a push message.")] = None,
    priority: options.Priority = None,
    at: Annotated[
        str | None, typer.Option(parser=moments.ahead, metavar="TIME", help=f"Send then: {moments.HELP}.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(parser=moments.ahead, metavar="TIME", help="Send nothing after this.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Echoed in status. Repeatable, or a JSON object.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="To find it by: campaign:spring.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="A repeat with this key sends nothing twice, for 24 h.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show what happens until it has ended.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Send a notification. Prints its id; with --watch, exit code 1 unless it ends COMPLETED.

    \b
    Examples:
      clarion send "Hello" --to ann@example.com --channel email --subject Hi --watch
      clarion send "Your code is 493817" --to +14155550100 -c sms --priority high --expires 5m
      clarion send --message-file news.txt --html news.html --to user123 --to user124 -c email,push --at 2h
      echo "Backup done" | clarion send - --to ops -c sms --idempotency-key backup-2026-03-01
    """
    body = {
        "channels": [name for given in channel for name in given.split(",") if name],
        "recipient_ids": to or [],
        "recipients": [_object(text, "--recipient") for text in recipient or ()],
        "message": _message(message, message_file, subject, html, title),
        "priority": priority,
        "metadata": _metadata(metadata),
        "tags": tag,
        "send_at": at,
        "expires_at": expires,
    }
    wanted = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    with Api.found(url) as api:
        taken = api.call("POST", "/notify", wanted, headers)
        if not watch:
            _tell(taken, as_json=as_json)
            return
        from cli.watching import watch as watch_it

        if watch_it(api, taken["id"], as_json=as_json)["status"] != "COMPLETED":
            raise typer.Exit(FAILED)


def _tell(taken: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(taken)
        return
    output.say(taken["id"])
    if output.on_terminal():
        output.note(f"Accepted. Follow it with: clarion status {taken['id']} --watch")


def _message(
    text: str | None, file: str | None, subject: str | None, html: str | None, title: str | None
) -> str | dict[str, str]:
    """What the API takes. Raises typer.BadParameter."""
    if text is not None and file is not None:
        raise typer.BadParameter("give the text as an argument or by --message-file, not both")
    content = _read("-", "MESSAGE") if text == "-" else text
    content = _read(file, "--message-file") if file is not None else content
    parts = {"text": content, "subject": subject, "html": _read(html, "--html") if html else None, "title": title}
    given = {name: value for name, value in parts.items() if value is not None}
    if not given.keys() & {"text", "html", "title"}:
        raise typer.BadParameter("say something: MESSAGE, --message-file, --html or --title")
    return given


def _read(file: str, option: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint=option) from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is no text in UTF-8", param_hint=option) from None


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} is no JSON object", param_hint=option)
    return value


def _metadata(given: list[str] | None) -> dict[str, Any] | None:
    if not given:
        return None
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if text.lstrip().startswith("{"):
            found |= _object(text, "--metadata")
        elif equals and name:
            found[name] = value
        else:
            raise typer.BadParameter(f"{text!r} is neither KEY=VALUE nor a JSON object", param_hint="--metadata")
    return found
