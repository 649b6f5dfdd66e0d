"""URLs from outside lead to the open internet only, whatever their host is written like and resolves to."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from vendor_side import PATIENT, OneAnswer
from yarl import URL

from domain.outcomes import Answer
from providers.guard import PublicOnly, is_public
from providers.http import Http, Reply

INSIDE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fd00:ec2::254"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is(address: str) -> None:
    assert is_public(address)


class Rebinding(AbstractResolver):
    """Answers with one address after the other."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=self.addresses.pop(0), port=port, family=family, proto=0, flags=0),
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0177.0.0.1", "localhost"])
async def test_no_way_to_write_it_leads_inside(host: str, one_answer: OneAnswer) -> None:
    port = URL(await one_answer(200, b"inside", {})).port
    http = Http(PublicOnly())
    answer = await http.call("GET", URL(f"http://{host}:{port}/"), {}, PATIENT)
    await http.close()
    assert isinstance(answer, Answer)
    assert one_answer.bodies == []


async def test_a_name_that_changes_its_mind_is_asked_once_for_each_connection(one_answer: OneAnswer) -> None:
    """The address that was judged is the one that is connected to; a later one is judged anew."""
    port = URL(await one_answer(200, b"inside", {})).port
    names = Rebinding("192.0.2.1", "127.0.0.1")
    guard = PublicOnly(resolver=names)
    with pytest.raises(OSError, match="open internet"):  # 192.0.2.0/24 is for documents, nobody's
        await guard.resolve("rebinding.example", 80)
    http = Http(guard)
    assert isinstance(await http.call("GET", URL(f"http://rebinding.example:{port}/"), {}, PATIENT), Answer)
    await http.close()
    assert names.addresses == [] and one_answer.bodies == []


async def test_hosts_of_the_settings_may_be_anywhere_and_redirects_are_not_followed(one_answer: OneAnswer) -> None:
    inside = await one_answer(200, b"inside", {})
    outside = await one_answer(302, b"", {"Location": inside})
    http = Http(PublicOnly({"127.0.0.1"}))
    reply = await http.call("GET", URL(outside), {}, PATIENT)
    await http.close()
    assert isinstance(reply, Reply) and reply.status == 302
    assert len(one_answer.bodies) == 1
