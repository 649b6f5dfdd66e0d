"""Rows as life makes them: accepted, claimed, answered and settled by the ledger's own steps."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from domain.channels import EMAIL, PUSH, SMS, Channel
from domain.ids import DeliveryId
from domain.messages import Content
from domain.outcomes import Answer, Outcome
from domain.priorities import Priority
from domain.settling import Rules
from domain.submissions import Recipient, Submission
from ledger.database import Database
from ledger.deliveries import Answered, Claim, Leg, claim, record
from ledger.intake import Flush, Intake
from ledger.settling import settle

CHANNELS = {channel.name: channel for channel in (EMAIL, SMS, PUSH)}
ADDRESSES = {"email": "{}@example.com", "phone": "+14155550100", "push_token": "token-{}"}


def submission(
    *,
    tenant: str = "acme",
    channels: Sequence[str] = ("email",),
    recipients: Sequence[str] = ("ann",),
    priority: Priority = Priority.NORMAL,
    send_at: datetime | None = None,
    expires_at: datetime | None = None,
    tags: Sequence[str] = (),
    content: Content = Content(text="Hello"),  # noqa: B008 - frozen
    metadata: Mapping[str, Any] = MappingProxyType({"order": 7}),
) -> Submission:
    """A notification on its way in; everybody has every address."""
    return Submission(
        tenant=tenant,
        channels=tuple(channels),
        recipients=tuple(
            Recipient(name, {field: form.format(name) for field, form in ADDRESSES.items()}, known=True)
            for name in recipients
        ),
        content=content,
        priority=priority,
        metadata=dict(metadata),
        tags=tuple(tags),
        send_at=send_at,
        expires_at=expires_at,
    )


async def accept(db: Database, *submissions: Submission, cap: int = 512, keeps_text: bool = False) -> Flush:
    """Commit them together. `keeps_text`: their tenants have chosen so."""
    return await Intake(db, CHANNELS, cap=cap, keeps_text=lambda tenant: keeps_text).accept(submissions)


async def claim_due(db: Database, batch: UUID, channel: Channel, provider: str | None = None) -> list[Claim]:
    """What is due for this provider, claimed by an execution of its own."""
    return await claim(db, Leg(batch, channel, provider or channel.route[0], Priority.NORMAL, uuid4()), 1000)


async def answer(
    db: Database, channel: Channel, claims: Sequence[Claim], answer: Answer, provider: str | None = None
) -> None:
    """Write down the same answer for all of them."""
    answered = [Answered(one, answer, final=False) for one in claims]
    await record(db, channel, provider or channel.route[0], Priority.NORMAL, answered, keep_refs=True)


async def sent(db: Database, batch: UUID, channel: Channel) -> None:
    """The first provider took all of it."""
    claims = await claim_due(db, batch, channel)
    await answer(db, channel, claims, Answer(Outcome.ACCEPTED, message_id=f"vendor-{batch}"))
    await settle(db, batch, Rules.clear(channel))


async def failed(db: Database, batch: UUID, channel: Channel) -> None:
    """The first provider refused all of it for good."""
    await answer(db, channel, await claim_due(db, batch, channel), Answer(Outcome.REJECTED, reason="bad address"))
    await settle(db, batch, Rules.clear(channel))


async def dead(db: Database, batch: UUID, channel: Channel) -> None:
    """No provider of the route could be reached, as often as may be tried."""
    for provider in channel.route:
        for _ in range(channel.tries):
            await db.run(
                "UPDATE delivery SET due_at = now() WHERE batch_id = :batch AND status = 'queued'", batch=batch
            )
            claims = await claim_due(db, batch, channel, provider)
            await answer(db, channel, claims, Answer(Outcome.VENDOR_DOWN, reason="refused"), provider)
        await settle(db, batch, Rules.clear(channel))


def batch_of(flush: Flush, place: int = 0) -> UUID:
    """The id of a batch that was committed."""
    return UUID(flush.batches[place].run.batch)


async def statuses(db: Database, batch: UUID) -> dict[DeliveryId, str]:
    """The state of every delivery of a batch, as the ledger has it."""
    rows = await db.run("SELECT seq, status FROM delivery WHERE batch_id = :batch ORDER BY seq", batch=batch)
    return {DeliveryId(batch, row.seq): row.status for row in rows}
