"""What can be set of a vendor: rules that make it slow, refusing, silent, forgetful or dishonest."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(_Strict):
    """An error answer, in the vendor's own format."""

    status: int = Field(default=500, ge=400, le=599, description="HTTP status, or SMTP reply code")
    code: str | int | None = Field(default=None, description="the vendor's own; unset: the status's usual one")
    retry_after: float | None = Field(default=None, ge=0, description="seconds")


class Receipt(_Strict):
    """How a message is reported after it was taken."""

    report: Literal["delivered", "undelivered", "none"] = "delivered"
    event: str | None = Field(
        default=None, max_length=40, description="a vendor's own event in place of the report's usual one"
    )
    delay: float = Field(default=0, ge=0, le=86_400, description="seconds after the answer")
    repeat: int = Field(default=1, ge=1, le=100, description="how often each event is posted in all, its id the same")
    shuffle: bool = Field(default=False, description="events in reversed order, each up to 0.3 s late")
    early: bool = Field(default=False, description="posted before the call is answered")
    forged: bool = Field(default=False, description="signed with a key that is not ours; never repeated by retries")


class Rule(_Strict):
    """What happens to the calls it matches. Of several rules the first match wins, wholly.

    A rule of `receipt` alone acts, counts and draws for each recipient of a bulk call; any other rule for each call.
    """

    to: str = Field(default="*", max_length=320, description="glob over the address")
    share: float = Field(default=1, ge=0, le=1, description="of matching calls; drawn from the seed")
    first: int | None = Field(default=None, ge=0, description="only so many matching calls")
    latency: float = Field(default=0, ge=0, le=600, description="seconds until the answer; a message is taken at once")
    jitter: float = Field(default=0, ge=0, le=600, description="up to so many seconds more")
    answer: Answer | None = None
    rate_limit: float | None = Field(default=None, gt=0, description="calls per second; above: the vendor's own 429")
    hang: Literal["before", "after"] | None = Field(default=None, description="never answer; `after`: but take it")
    reset: bool = Field(default=False, description="take it, then cut the connection in mid-answer")
    receipt: Receipt | None = None
    clock_skew: float = Field(default=0, description="seconds by which its reports' times are wrong")

    @model_validator(mode="after")
    def _one_fate(self) -> Self:
        if (self.answer is not None) + (self.hang is not None) + self.reset > 1:
            raise ValueError("only one of answer, hang, reset")
        return self

    @property
    def acts_on_calls(self) -> bool:
        """Does it do anything but shape receipts?"""
        slow = self.latency > 0 or self.jitter > 0 or self.rate_limit is not None
        return slow or self.answer is not None or self.hang is not None or self.reset or self.receipt is None


class Control(_Strict):
    """The settings of one vendor."""

    rules: tuple[Rule, ...] = Field(default=(), max_length=100)
    seed: int = 0


class SendGridControl(Control):
    """SendGrid gathers events and posts them together."""

    gather: float = Field(default=0.1, ge=0, le=60, description="seconds")
    max_events: int = Field(default=1000, ge=1, le=1000, description="in one call")


class SesControl(Control):
    """SES reports through SNS, whose signatures come in two versions."""

    signature_version: Literal["1", "2"] = "2"


class FcmControl(Control):
    """FCM hands out access tokens that expire."""

    token_lifetime: int = Field(default=3600, ge=0, le=86_400, description="seconds")


class GlobalControl(_Strict):
    """What all vendors share."""

    callback_url: str = Field(pattern=r"^https?://\S+$", description="webhooks are posted to {callback_url}/{vendor}")
