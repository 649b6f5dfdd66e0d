"""The address book of a tenant: who can be reached where."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from domain.channels import Channels
from ledger.database import Database
from ledger.sealing import entry_of
from ledger.vault import Keys

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?(-[A-Za-z0-9]{5,8})*\Z")  # RFC 5646, in short


class NotAnAddress(ValueError):
    """A field of a recipient that makes no sense: `field` says which, the text why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True, slots=True)
class Person:
    """One entry. `addresses` by field, as in `{"email": ..., "phone": ..., "push_token": ...}`."""

    id: str
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    locale: str | None = None
    timezone: str | None = None
    updated_at: datetime | None = None


_PUT = """
INSERT INTO recipient (tenant_id, id, addresses, locale, timezone)
VALUES (:tenant, :id, CAST(:addresses AS jsonb), :locale, :timezone)
ON CONFLICT (tenant_id, id) DO UPDATE
   SET addresses = excluded.addresses, locale = excluded.locale, timezone = excluded.timezone, updated_at = now()
RETURNING updated_at, (xmax = 0) AS created
"""
_GET = "SELECT id, addresses, locale, timezone, updated_at FROM recipient WHERE tenant_id = :tenant AND id = :id"

# In the order of ids: two bulks that share people must not wait for each other in a ring.
_PUT_ALL = """
INSERT INTO recipient (tenant_id, id, addresses, locale, timezone)
SELECT :tenant, g.* FROM unnest(CAST(:ids AS text[]), CAST(:addresses AS jsonb[]), CAST(:locales AS text[]),
                                CAST(:timezones AS text[])) AS g(id, addresses, locale, timezone)
 ORDER BY g.id
ON CONFLICT (tenant_id, id) DO UPDATE
   SET addresses = excluded.addresses, locale = excluded.locale, timezone = excluded.timezone, updated_at = now()
RETURNING id, (xmax = 0) AS created
"""

# By the letters of the id, so that those with a common beginning stand together: U+10FFFF comes after all of them.
_LIST = """
SELECT id, addresses, locale, timezone, updated_at FROM recipient
 WHERE tenant_id = :tenant AND id COLLATE "C" > :after AND id COLLATE "C" >= :prefix
   AND id COLLATE "C" < CAST(:prefix AS text) || U&'\\+10FFFF'
 ORDER BY id COLLATE "C" LIMIT :most
"""


def checked(person: Person, channels: Channels) -> Person:
    """The same with every address in its channel's normal form. Raises NotAnAddress."""
    parsers = {channel.address: channel.parse_address for channel in channels.values()}
    addresses: dict[str, str] = {}
    for name, text in person.addresses.items():
        if name not in parsers:
            raise NotAnAddress(name, f"No channel has such an address; there are {', '.join(sorted(parsers))}.")
        try:
            addresses[name] = parsers[name](text)
        except ValueError as error:
            raise NotAnAddress(name, str(error)) from None
    if person.locale is not None and not _LOCALE.match(person.locale):
        raise NotAnAddress("locale", "A locale is a language tag such as `de`, `pt-BR` or `zh-Hant-TW`.")
    if person.timezone is not None and not _is_zone(person.timezone):
        raise NotAnAddress("timezone", "A time zone is a name such as `Europe/Berlin`.")
    return Person(person.id, addresses, person.locale, person.timezone)


async def put(db: Database, tenant: str, person: Person) -> tuple[Person, bool]:
    """Store a checked entry in place of what was there. Returns it, and whether it is new."""
    keys = await db.vault.sealing(db.run, [tenant])
    row = (
        await db.run(
            _PUT,
            tenant=tenant,
            id=person.id,
            addresses=_sealed(keys, tenant, person),
            locale=person.locale,
            timezone=person.timezone,
        )
    )[0]
    return replace(person, updated_at=row.updated_at), row.created


async def get(db: Database, tenant: str, id: str) -> Person | None:
    """One entry; None if there is none."""
    people = await _people(db, tenant, await db.run(_GET, tenant=tenant, id=id))
    return people[0] if people else None


async def put_all(db: Database, tenant: str, people: Sequence[Person]) -> Mapping[str, bool]:
    """Store checked entries, all or none, each id once. Returns for each id whether it is new."""
    keys = await db.vault.sealing(db.run, [tenant])
    rows = await db.run(
        _PUT_ALL,
        tenant=tenant,
        ids=[person.id for person in people],
        addresses=[_sealed(keys, tenant, person) for person in people],
        locales=[person.locale for person in people],
        timezones=[person.timezone for person in people],
    )
    return {row.id: row.created for row in rows}


async def listed(db: Database, tenant: str, most: int, *, prefix: str = "", after: str = "") -> list[Person]:
    """At most so many entries by id, behind the id `after`, of those whose id begins with `prefix`."""
    rows = await db.run(_LIST, tenant=tenant, prefix=prefix, after=after, most=most)
    return await _people(db, tenant, rows)


def addresses_in(keys: Keys, tenant: str, id: str, stored: Any) -> Mapping[str, str]:
    """The addresses of an entry by field, from its column: sealed, or older than sealing. Raises Unreadable."""
    return keys.open_json(tenant, entry_of(id), stored)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # what it raises for names that are none, or no file names
        return False
    return True


def _sealed(keys: Keys, tenant: str, person: Person) -> str:
    document = orjson.dumps(dict(person.addresses)).decode()
    return keys.sealing(tenant).seal_json(entry_of(person.id), document)


async def _people(db: Database, tenant: str, rows: Sequence[Any]) -> list[Person]:
    keys = await db.vault.opening(db.run, [(tenant, row.addresses) for row in rows])
    return [
        Person(row.id, addresses_in(keys, tenant, row.id, row.addresses), row.locale, row.timezone, row.updated_at)
        for row in rows
    ]
