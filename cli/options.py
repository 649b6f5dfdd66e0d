"""Options many commands share."""

from typing import Annotated

import typer

from cli import moments

Id = Annotated[str, typer.Argument(metavar="ID", help="The notification's id, as `clarion send` prints it.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="The API [CLARION_URL; else the stack running here, else http://127.0.0.1:8000]."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Since = Annotated[
    str | None, typer.Option(parser=moments.ago, metavar="TIME", help=f"Not before this: {moments.HELP}.")
]
Until = Annotated[str | None, typer.Option(parser=moments.ago, metavar="TIME", help="Before this.")]
Channel = Annotated[str | None, typer.Option(metavar="NAME", help="Of this channel.")]
Priority = Annotated[str | None, typer.Option(metavar="NAME", help="high, normal or low.")]
Recipient = Annotated[str | None, typer.Option(metavar="ID", help="To this recipient, by id.")]
Limit = Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many at most.")]
