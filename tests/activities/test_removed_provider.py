"""A provider that is no longer set up: what it left behind goes on by another, and its run does not turn in circles."""

from dataclasses import replace
from uuid import UUID

from temporalio.testing import ActivityEnvironment
from workbench import Bench

from activities.delivering import Activities
from domain.channels import EMAIL
from domain.ids import new_id
from domain.messages import Content
from domain.priorities import Priority
from domain.runs import Delivery, State
from domain.submissions import Recipient, Submission
from ledger import deliveries
from ledger.database import Database
from ledger.deliveries import Leg
from ledger.intake import Intake
from ledger.settling import LEASE

CHANNEL = replace(EMAIL, route=("gone", "here"))


async def test_what_it_left_in_sending_is_doubtful_and_then_sent_by_another(db: Database, bench: Bench) -> None:
    person = Recipient("ada", {"email": "ada@example.org"}, known=True)
    group = [Submission("acme", ("email",), (person,), Content("Hello"), Priority.NORMAL)]
    (batch,) = (await Intake(db, {"email": CHANNEL}, cap=512).accept(group)).batches
    order = Delivery(batch.run.batch, "email", "gone", Priority.NORMAL)
    await deliveries.claim(db, Leg(UUID(order.batch), CHANNEL, "gone", Priority.NORMAL, new_id()), 1)
    await db.run("UPDATE delivery SET claimed_at = now() - make_interval(secs => :lease)", lease=LEASE)

    without = replace(CHANNEL, route=("here",))
    async with bench({}) as having:
        activities = Activities(having, {"email": without})
        state: State = await ActivityEnvironment().run(activities.deliver, order)
        assert (state.due, state.counts) == ([], {"in_doubt": 1})
        await db.run("UPDATE delivery SET doubt_until = now()")
        state = await ActivityEnvironment().run(activities.deliver, order)
        assert (state.due, state.counts) == (["here"], {"queued": 1})
