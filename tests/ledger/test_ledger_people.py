"""Tenants, keys and the address book: checked at the door, found again, gone when removed."""

import pytest
from seeding import CHANNELS

from ledger import keys, recipients, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Principal, Role
from ledger.readiness import check
from ledger.recipients import NotAnAddress, Person, checked
from ledger.tenants import Tenant, TenantExists

ME = By("test")


async def test_a_tenant_is_kept_with_its_senders_in_normal_form(db: Database) -> None:
    made = await tenants.create(
        db, Tenant("acme", "Acme", email_from="Hello@EXAMPLE.com", reply_to=None, sms_from="+1 415 555 0100"), ME
    )
    assert (made.email_from, made.sms_from) == ("Hello@example.com", "+14155550100")
    assert await tenants.listed(db) == [made]
    with pytest.raises(TenantExists):
        await tenants.create(db, Tenant("acme", "Again"), ME)


@pytest.mark.parametrize(
    "wrong",
    [
        Tenant("", "x"),
        Tenant("-a", "x"),
        Tenant("Acme", "x"),
        Tenant("a" * 41, "x"),
        Tenant("a\n", "x"),
        Tenant("a", " "),
        Tenant("a", "x\0"),
        Tenant("a", "x", email_from="nobody"),
        Tenant("a", "x", sms_from="TwelveLetter"),
    ],
)
def test_a_wrong_tenant_is_refused(wrong: Tenant) -> None:
    with pytest.raises(ValueError):
        tenants.checked(wrong)


@pytest.mark.parametrize("sender", ["Clarion", "12345", "+14155550100"])
def test_sms_senders(sender: str) -> None:
    assert tenants.checked(Tenant("a", "x", sms_from=sender)).sms_from == sender


async def test_the_development_tenant_can_be_ensured_twice(db: Database) -> None:
    await tenants.ensure_dev(db)
    await tenants.ensure_dev(db)
    assert [tenant.id for tenant in await tenants.listed(db)] == ["dev"]


async def test_a_key_opens_until_it_is_revoked(db: Database) -> None:
    await tenants.create(db, Tenant("acme", "Acme"), ME)
    key, text = await keys.create(db, "acme", Role.SEND, ME)
    assert text.startswith(f"clr_{key.prefix}_") and len(key.prefix) == 12
    assert await keys.authenticate(db, text) == Principal("acme", Role.SEND, key.prefix)
    assert [k.prefix for k in await keys.listed(db, "acme")] == [key.prefix]
    assert await keys.revoke(db, key.prefix, ME)
    assert not await keys.revoke(db, key.prefix, ME)
    assert await keys.authenticate(db, text) is None


async def test_the_secret_is_not_in_the_ledger(db: Database) -> None:
    _, text = await keys.create(db, None, Role.OPERATOR, ME)
    secret = text.split("_", 2)[2]
    (row,) = await db.run("SELECT api_key::text AS shown, hash FROM api_key")
    assert secret not in row.shown and secret.encode() not in bytes(row.hash)


async def test_other_texts_open_nothing(db: Database) -> None:
    _, text = await keys.create(db, None, Role.OPERATOR, ME)
    prefix, secret = text[:17], text[17:]
    for wrong in ("", "x", text + "x", text[:-1], prefix + secret[::-1], "clr_aaaaaaaaaaaa_" + secret, text + "\n"):
        assert await keys.authenticate(db, wrong) is None


async def test_roles_and_tenants_fit_together(db: Database) -> None:
    for tenant, role in ((None, Role.SEND), ("acme", Role.OPERATOR), ("nobody", Role.ADMIN)):
        with pytest.raises(ValueError):
            await keys.create(db, tenant, role, ME)


async def test_a_person_is_put_got_and_changed(db: Database) -> None:
    person = checked(
        Person("ann", {"email": "ann@EXAMPLE.com", "phone": "+1 415 555 0100"}, "pt-BR", "Europe/Berlin"), CHANNELS
    )
    assert person.addresses == {"email": "ann@example.com", "phone": "+14155550100"}
    stored, new = await recipients.put(db, "acme", person)
    assert new and await recipients.get(db, "acme", "ann") == stored
    assert await recipients.get(db, "other", "ann") is None
    changed, new = await recipients.put(db, "acme", Person("ann", {"email": "a@example.com"}))
    assert not new and changed.addresses == {"email": "a@example.com"} and changed.timezone is None


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("email", Person("ann", {"email": "nobody"})),
        ("phone", Person("ann", {"phone": "12"})),
        ("fax", Person("ann", {"fax": "12"})),
        ("locale", Person("ann", locale="de_DE")),
        ("timezone", Person("ann", timezone="Mars/Olympus")),
        ("timezone", Person("ann", timezone="../etc/passwd")),
        ("timezone", Person("ann", timezone="a\0")),
    ],
)
def test_a_wrong_field_is_named(field: str, wrong: Person) -> None:
    with pytest.raises(NotAnAddress) as caught:
        checked(wrong, CHANNELS)
    assert caught.value.field == field


async def test_readiness_names_the_revision(db: Database) -> None:
    (row,) = await db.run("SELECT version_num FROM alembic_version")
    assert await check(db) == row.version_num
