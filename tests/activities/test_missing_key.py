"""A worker without the key that messages are sealed with: they wait, cost no try, and go out once it is back."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

from seeding import accept, submission
from temporalio.testing import ActivityEnvironment
from vaults import vault
from workbench import Bench, Silent

from activities.delivering import Activities
from activities.recorder import Recorder
from domain.channels import SMS
from domain.messages import Message
from domain.outcomes import Answer
from domain.priorities import Priority
from domain.runs import Delivery
from ledger.database import Database

OTHER = f"other:{b64encode(bytes(32)).decode()}"
CHANNEL = replace(SMS, route=("silent",))


class Noting(Silent):
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Message] = []

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """Yes."""
        self.given += messages
        return await super().send(messages, timeout)


async def test_they_wait_for_it_and_nothing_is_lost(db: Database, database_url: str, bench: Bench) -> None:
    flush = await accept(db, submission(channels=("sms",), recipients=("ann", "bob")))
    order = Delivery(flush.batches[0].run.batch, "sms", "silent", Priority.NORMAL)
    await db.run("UPDATE delivery SET provider = 'silent'")
    vendor = Noting()
    keyless = Database(database_url, vault=vault(OTHER), pool_size=2)
    async with bench({"silent": vendor}) as means:
        recorder = Recorder(keyless)
        without = replace(means, db=keyless, recorder=recorder)
        for n in range(1, 8):  # more often than there are tries
            state = await ActivityEnvironment().run(Activities(without, {"sms": CHANNEL}).deliver, order)
            assert (state.counts, state.due) == ({"queued": 2}, [])
            rows = await db.run("SELECT status, tries, attempt, reason, due_at - now() AS rest FROM delivery")
            assert {tuple(row)[:4] for row in rows} == {("queued", 0, n, "cannot be opened")}
            assert all(50 < row.rest.total_seconds() <= 60 for row in rows)
            await db.run("UPDATE delivery SET due_at = now()")
        assert vendor.given == []
        state = await ActivityEnvironment().run(Activities(means, {"sms": CHANNEL}).deliver, order)
        assert state.counts == {"sent": 2}
        await recorder.close()
    await keyless.close()
    assert {message.address for message in vendor.given} == {"+14155550100"}
    assert {message.content.text for message in vendor.given} == {"Hello"}
