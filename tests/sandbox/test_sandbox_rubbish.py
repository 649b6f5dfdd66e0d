"""Whatever is sent, the sandbox answers in the vendor's words: its readers raise nothing but refusals."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.mime import read_mime
from sandbox.vendors import fcm, sendgrid_mail, ses_mail
from sandbox.vendors.base import Refused
from sandbox.web import Call

SENDGRID = {
    "personalizations": [{"to": [{"email": "a@b.c"}], "custom_args": {"clarion_key": "k"}, "subject": "s"}],
    "from": {"email": "a@b.c"},
    "custom_args": {"x": "y"},
    "content": [{"type": "text/plain", "value": "v"}, {"type": "text/html", "value": "v"}],
}
SES = {
    "FromEmailAddress": "a@b.c",
    "Destination": {"ToAddresses": ["a@b.c"]},
    "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
    "EmailTags": [{"Name": "n", "Value": "v"}],
}
SES_RAW = {"FromEmailAddress": "a@b.c", "Content": {"Raw": {"Data": "VG86IGFAYi5jCgpoaQ=="}}}
FCM = {"message": {"token": "t", "data": {"k": "v"}, "notification": {"title": "t"}}}

rubbish = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([1]),
    st.just({"a": 1}),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


def _damaged(*bodies: Any) -> st.SearchStrategy[Any]:
    places = [(body, place) for body in bodies for place in _places(body)]
    return st.builds(lambda where, new: _replaced(where[0], where[1], new), st.sampled_from(places), rubbish)


class _Refusal(Exception):
    pass


@given(_damaged(SENDGRID))
@settings(max_examples=500)
def test_sendgrid(body: Any) -> None:
    try:
        messages = sendgrid_mail.read_mail(body, "id", None, lambda _text, _field: _Refusal())
    except _Refusal:
        return
    orjson.dumps([message.extra for message in messages])


@given(_damaged(SES, SES_RAW))
@settings(max_examples=500)
def test_ses(body: Any) -> None:
    try:
        messages = ses_mail.read_mail(body, "id", None)
    except ses_mail.BadRequest:
        return
    assert all("@" in message.to for message in messages)
    orjson.dumps([[message.extra, message.key, message.subject, message.text, message.sender] for message in messages])


@given(_damaged(FCM))
@settings(max_examples=500)
def test_fcm(body: Any) -> None:
    try:
        message = fcm.read(body, "id", Call("POST", "/", b"/", b"", {}, b""))
    except Refused:
        return
    orjson.dumps([message.to, message.extra, message.subject, message.text])


headers = st.sampled_from(
    [b"To", b"From", b"Subject", b"Content-Type", b"Content-Transfer-Encoding", b"X-A", b"MIME-Version"]
)
values = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"multipart/mixed; boundary=x",
            b"text/html; charset=nope",
            b"base64",
            b"=?utf-8?q?=ff?=",
            b'<@,;:"',
            b"text/plain",
        ]
    ),
)


@given(st.lists(st.tuples(headers, values), max_size=6), st.binary(max_size=60))
@settings(max_examples=500)
def test_raw_mail(lines: list[tuple[bytes, bytes]], body: bytes) -> None:
    mail = read_mime(b"".join(name + b": " + value + b"\r\n" for name, value in lines) + b"\r\n" + body)
    orjson.dumps([mail.subject, mail.sender, mail.recipients, mail.text, mail.html, mail.headers])
