"""From POST to receipt, through everything that is real: what stands in the tables is of no use to who reads them."""

from stage import Stage
from vaults import everything

ADDRESS, NUMBER, TEXT = "zoe.quine@example.com", "+14155550137", "The zebra quits at dawn"


async def test_what_was_delivered_can_be_read_nowhere(stage: Stage) -> None:
    people = [{"email": ADDRESS, "phone": NUMBER}, {"id": "ann", "email": ADDRESS}]
    message = {"text": TEXT, "subject": TEXT, "html": f"<p>{TEXT}</p>"}
    id = await stage.notify(channels=["email", "sms"], recipients=people, recipient_ids=[NUMBER], message=message)
    shown = await stage.until(id, "PARTIAL_FAILURE")  # a number gets no email
    assert {each["recipient_id"] for each in shown["deliveries"]} == {ADDRESS, NUMBER, "ann"}
    said = await everything(stage.db)
    assert "delivered" in said and "sealed 1 " in said and "ann" in said
    assert [secret for secret in (ADDRESS, "zoe", NUMBER, "4155550137", TEXT, "zebra") if secret in said] == []
    sent = str([each for vendor in ("sendgrid", "twilio") for each in await stage.vendors.log(vendor)])
    assert ADDRESS in sent and NUMBER in sent and TEXT in sent
