"""`POST /notifications/{id}/cancel` and `PATCH /notifications/{id}`: what may still be changed about a notification."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.access import HasParts, Sender
from api.documented import problems
from api.inputs import Moment, NotificationId, notification_id
from api.problems import Problem
from api.waking import wake
from domain.submissions import Refused
from ledger.stopping import cancel, reschedule

router = APIRouter(tags=["notifications"], prefix="/notifications/{id}")

_FURTHEST = timedelta(days=366)


class TooLateOut(BaseModel):
    """A delivery that is out of our hands."""

    id: str
    status: str


class CancelOut(BaseModel):
    """Which deliveries nobody will ever send, and which were too late."""

    cancelled: list[str]
    too_late: list[TooLateOut]


class RescheduleIn(BaseModel):
    """The new time."""

    model_config = ConfigDict(extra="forbid")

    send_at: Moment


class RescheduleOut(BaseModel):
    """How many deliveries wait for the new time, and how many were claimed or ended before."""

    send_at: datetime
    rescheduled: int
    too_late: int


@router.post("/cancel", operation_id="cancelNotification", responses=problems(401, 403, 404, 503))
async def cancel_notification(parts: HasParts, tenant: Sender, id: NotificationId) -> CancelOut:
    """Cancel what has not been claimed. A delivery is either cancelled or sent, never both."""
    done = await cancel(parts.changing(tenant), tenant, notification_id(id))
    if done is None:
        raise Problem("not_found", "There is no such notification.")
    await wake(parts, done.wake)
    return CancelOut(
        cancelled=[str(delivery) for delivery in done.cancelled],
        too_late=[TooLateOut(id=str(delivery), status=status) for delivery, status in done.too_late.items()],
    )


@router.patch("", operation_id="rescheduleNotification", responses=problems(401, 403, 404, 409, 413, 422, 503))
async def reschedule_notification(
    parts: HasParts, tenant: Sender, id: NotificationId, body: RescheduleIn
) -> RescheduleOut:
    """Choose another time for what nobody has claimed yet; a time in the past means now."""
    if body.send_at > datetime.now(UTC) + _FURTHEST:
        raise Refused("invalid_request", "At most 366 days from now.", "/send_at")
    done = await reschedule(parts.changing(tenant), tenant, notification_id(id), body.send_at)
    if done is None:
        raise Problem("not_found", "There is no such notification.")
    if not done.moved:
        raise Problem("too_late")
    await wake(parts, done.wake)
    return RescheduleOut(send_at=body.send_at, rescheduled=done.moved, too_late=done.too_late)
