"""Ways to bend a webhook call: bytes, JSON, forms, headers, its URL, its signature. Seeded: one seed, one sequence."""

import base64
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from bench.fuzz.schemes import Scheme
from providers.base import Call

_NUMBERS = (b"1e999", b"-1", b"9" * 400, b"NaN", b"1e-7", b"true", b"null", str(2**63).encode(), b"0x10", b"\xd9\xa1")
_TEXTS = ("", " ", "0", "-1", "9" * 400, "1e99", "v1,", "v1a,x", "é", "\x7f", "null", "nan", "sha1=x", "1", "=" * 9)
_DEEP = (b"[" * 100_000, b'{"a":' * 50_000, b"[" * 500 + b"]" * 500)


@dataclass(frozen=True, slots=True)
class Bent:
    """A call that went wrong. `kind`: what was done; `scheme`: whose call it was; `path`: where it is posted."""

    kind: str
    scheme: str
    path: str
    call: Call
    origin: Call  # the genuine one


class Mutator:
    """Bends genuine calls. `known`: calls that were taken already, for each scheme."""

    def __init__(self, schemes: Mapping[str, Scheme], known: Mapping[str, list[Call]], seed: int) -> None:
        self._schemes, self._known, self._random = schemes, known, Random(seed)
        self._bodies = (_flip, _byte, _cut, _drop, _repeat, _insert, _swap, _encode, _number, _deep, _json, _form)
        self._headers = (_no_header, _bad_header, _foreign_header, _signature_bits, _signature_text)

    def next(self) -> Bent:
        """One more. Bent twice or thrice now and then: single changes undo nothing, double ones may."""
        random = self._random
        scheme = self._schemes[random.choice(list(self._schemes))]
        origin = random.choice(self._known[scheme.name])
        whole = random.random()
        if whole < 0.1:
            return self._whole(scheme, origin)
        kinds: list[str] = []
        call = origin
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            change = random.choice(self._bodies if random.random() < 0.6 else self._headers)
            call = change(random, call)
            kinds.append(change.__name__.strip("_"))
        return Bent("+".join(kinds), scheme.name, scheme.name, call, origin)

    def nonsense(self) -> Bent:
        """A body bent first and signed then: it is the vendor's, and makes no sense."""
        random = self._random
        scheme = self._schemes[random.choice(list(self._schemes))]
        call = random.choice(self._known[scheme.name])
        for _ in range(random.choice((1, 2, 3))):
            call = random.choice(self._bodies)(random, call)
        return Bent("nonsense", scheme.name, scheme.name, scheme.resigned(call.body), call)

    def _whole(self, scheme: Scheme, origin: Call) -> Bent:
        random, name = self._random, scheme.name
        others = [other for other in self._schemes if other != name]
        ways: dict[str, Callable[[], tuple[str, Call]]] = {
            "strange key": lambda: (name, scheme.genuine(strange=True)),
            "signature of another": lambda: (name, _spliced(scheme.genuine(), origin)),
            "another vendor": lambda: (random.choice(others), origin),
            "query": lambda: (name, replace(origin, url=_query(random, origin.url))),
        }
        if scheme.dated:
            ways["outdated"] = lambda: (name, scheme.outdated())
            ways["ahead"] = lambda: (name, scheme.ahead())
        kind = random.choice(list(ways))
        path, call = ways[kind]()
        return Bent(kind, name, path, call, origin)


def _spliced(new: Call, old: Call) -> Call:
    """A new call under the signature of an old one; SNS signs inside the body."""
    if old.headers:
        return replace(new, headers=old.headers)
    return replace(new, body=orjson.dumps(orjson.loads(new.body) | {"Signature": orjson.loads(old.body)["Signature"]}))


def _query(random: Random, url: str) -> str:
    base, _, query = url.partition("?")
    return random.choice((base, f"{base}?{query}&key=other", f"{base}?key=1.2.3", f"{base}?{query}0", f"{base}?%00"))


# Bodies.


def _flip(random: Random, call: Call) -> Call:
    place, bit = random.randrange(len(call.body) or 1), 1 << random.randrange(8)
    body = bytearray(call.body or b"0")
    body[place] ^= bit
    return replace(call, body=bytes(body))


def _byte(random: Random, call: Call) -> Call:
    place = random.randrange(len(call.body) or 1)
    return replace(call, body=call.body[:place] + bytes([random.randrange(256)]) + call.body[place + 1 :])


def _cut(random: Random, call: Call) -> Call:
    place = random.randrange(len(call.body) or 1)
    return replace(call, body=random.choice((call.body[:place], call.body[place:], b"")))


def _drop(random: Random, call: Call) -> Call:
    start = random.randrange(len(call.body) or 1)
    return replace(call, body=call.body[:start] + call.body[start + random.randrange(1, 30) :])


def _repeat(random: Random, call: Call) -> Call:
    start = random.randrange(len(call.body) or 1)
    piece = call.body[start : start + random.randrange(1, 60)]
    return replace(call, body=random.choice((call.body * 2, call.body[:start] + piece + call.body[start:])))


def _insert(random: Random, call: Call) -> Call:
    place = random.randrange(len(call.body) + 1)
    piece = random.choice((b"\x00", b" ", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"&", b"=", b"%00", b"\\ud800", b","))
    return replace(call, body=call.body[:place] + piece + call.body[place:])


def _swap(random: Random, call: Call) -> Call:
    body = bytearray(call.body + b"00")
    one, other = random.randrange(len(body)), random.randrange(len(body))
    body[one], body[other] = body[other], body[one]
    return replace(call, body=bytes(body[: len(call.body)]))


def _encode(random: Random, call: Call) -> Call:
    text = call.body.decode("latin-1")
    ways = (text.encode("utf-16"), text.encode("utf-7"), gzip.compress(call.body, mtime=0), base64.b64encode(call.body))
    return replace(call, body=random.choice((*ways, text.upper().encode("latin-1", "ignore"), quote(text).encode())))


def _number(random: Random, call: Call) -> Call:
    """A number in the place of some run of digits."""
    digits = [place for place, byte in enumerate(call.body) if 48 <= byte <= 57]
    if not digits:
        return _insert(random, call)
    place = random.choice(digits)
    return replace(call, body=call.body[:place] + random.choice(_NUMBERS) + call.body[place + 1 :])


def _deep(random: Random, call: Call) -> Call:
    return replace(call, body=random.choice(_DEEP))


def _json(random: Random, call: Call) -> Call:
    """The same document with one thing changed: a value, a name, a field twice, an order, a wrapping."""
    try:
        document: Any = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        return _flip(random, call)
    fields = document[0] if isinstance(document, list) and document else document
    if not isinstance(fields, dict) or not fields:
        return _flip(random, call)
    name, other = random.choice(list(fields)), random.choice(list(fields))
    value: Any = random.choice((None, True, 0, -1, 1e308, 2**53, "", "x", [], {}, [[]], fields[other]))
    twice = b"{" + orjson.dumps({name: value})[1:-1] + b"," + orjson.dumps(fields)[1:]
    ways = (
        orjson.dumps({**fields, name: value}),
        orjson.dumps({key: fields[key] for key in fields if key != name}),
        orjson.dumps({**fields, name.upper(): fields[name]}),
        orjson.dumps(dict(reversed(fields.items()))),
        orjson.dumps([fields, fields]),
        orjson.dumps(document, option=orjson.OPT_INDENT_2),
        twice,
        orjson.dumps(fields)[:-1] + b"," + orjson.dumps({name: value})[1:],
    )
    return replace(call, body=random.choice(ways))


def _form(random: Random, call: Call) -> Call:
    """The same form with one field twice, gone, new, moved or written in another way."""
    pairs = parse_qsl(call.body.decode("latin-1"), keep_blank_values=True)
    if not pairs:
        return _flip(random, call)
    name, value = random.choice(pairs)
    ways = (
        [*pairs, (name, value)],
        [*pairs, (name, "undelivered")],
        [(name, "failed"), *pairs],
        [pair for pair in pairs if pair[0] != name],
        [*pairs, ("ErrorCode", "30003")],
        list(reversed(pairs)),
        [(key.lower(), text) for key, text in pairs],
        [(key + text[:1], text[1:]) if key == name else (key, text) for key, text in pairs],
        [(key[:-1], key[-1:] + text) if key == name else (key, text) for key, text in pairs],
    )
    body = urlencode(random.choice(ways)).encode()
    return replace(call, body=random.choice((body, body.replace(b"&", b";"), body.replace(b"%2B", b"+"))))


# Headers. Those of a scheme are the ones that its genuine calls have; one of SNS has none.


def _no_header(random: Random, call: Call) -> Call:
    names = list(call.headers)
    gone = random.choice(names) if names else ""
    return replace(call, headers={name: value for name, value in call.headers.items() if name != gone})


def _bad_header(random: Random, call: Call) -> Call:
    return _with(
        random, call, lambda value: random.choice((*_TEXTS, value + "x", value[:-1], value.upper(), value * 2))
    )


def _foreign_header(random: Random, call: Call) -> Call:
    names = ("x-twilio-signature", "webhook-signature", "content-encoding", "content-type", "x-amz-sns-message-type")
    return replace(call, headers={**call.headers, random.choice(names): random.choice((*_TEXTS, "gzip", "text/xml"))})


def _signature_bits(random: Random, call: Call) -> Call:
    def flipped(value: str) -> str:
        prefix, comma, text = value.rpartition(",")
        try:
            raw = bytearray(base64.b64decode(text))
        except ValueError:
            return value[::-1]
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
        return prefix + comma + base64.b64encode(raw).decode()

    return _with(random, call, lambda value: flipped(value) if len(value) > 16 else value + "0")


def _signature_text(random: Random, call: Call) -> Call:
    """The same signature in other words: spaces, lists, another alphabet."""
    return _with(
        random,
        call,
        lambda value: random.choice(
            (f" {value}", f"{value} {value}", f"v1,x {value}", value.replace("+", "-"), value.rstrip("="), f"{value}==")
        ),
    )


def _with(random: Random, call: Call, change: Callable[[str], str]) -> Call:
    if not call.headers:  # SNS signs inside the body
        try:
            fields = orjson.loads(call.body)
            fields["Signature"] = change(fields["Signature"])
            return replace(call, body=orjson.dumps(fields))
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            return call
    name = random.choice(list(call.headers))
    return replace(call, headers={**call.headers, name: change(call.headers[name])})
