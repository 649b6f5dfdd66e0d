"""TLS and mTLS to PostgreSQL, Redis and Temporal, and at the API's own door."""

import asyncio
import os
import ssl
import sys
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError
from temporalio.client import Client
from tls_side import Pki, door_to, made_in

from api.server import running_api
from ledger.database import Database, LedgerUnavailable
from ledger.migrate import migrate
from runs import reach
from settings import Settings, SettingsError
from settings.tls import check
from throttle.redis import connect as connect_redis
from workers.embedded.ports import free_ports

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return made_in(tmp_path_factory.mktemp("pki"))


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


class TestPostgreSql:
    @staticmethod
    def url(database_url: str, port: int, **tls: object) -> str:
        moved = database_url.replace(f":{port_of(database_url)}/", f":{port}/")
        return f"{moved}?{urlencode(tls)}"

    async def test_by_the_url_as_libpq_has_it(self, pki: Pki, database_url: str) -> None:
        context = pki.server_context(clients=True)
        async with door_to(port_of(database_url), context, postgres=True) as port:
            files = {"sslrootcert": pki.ca, "sslcert": pki.client_cert, "sslkey": pki.client_key}
            url = self.url(database_url, port, sslmode="verify-full", **files)
            check(Settings(database_url=SecretStr(url)))
            assert await migrate(url)
            db = Database(url, pool_size=1)
            assert (await db.run("SELECT 1 AS one"))[0].one == 1
            await db.close()

    @pytest.mark.parametrize("way", ["another CA", "no certificate", "a stranger's certificate"])
    async def test_nobody_else_is_believed(self, pki: Pki, database_url: str, way: str) -> None:
        ca = pki.other_ca if way == "another CA" else pki.ca
        ours = {"sslcert": pki.client_cert, "sslkey": pki.client_key}
        strange = {"sslcert": pki.stranger_cert, "sslkey": pki.stranger_key}
        given = {"another CA": ours, "no certificate": {}, "a stranger's certificate": strange}[way]
        async with door_to(port_of(database_url), pki.server_context(clients=True), postgres=True) as port:
            db = Database(self.url(database_url, port, sslmode="verify-full", sslrootcert=ca, **given), pool_size=1)
            with pytest.raises(LedgerUnavailable):
                await db.run("SELECT 1")
            await db.close()


class TestRedis:
    async def test_by_the_url_of_rediss(self, pki: Pki, redis_url: str) -> None:
        async with door_to(port_of(redis_url), pki.server_context(clients=True)) as port:
            files = {"ssl_ca_certs": pki.ca, "ssl_certfile": pki.client_cert, "ssl_keyfile": pki.client_key}
            url = f"rediss://127.0.0.1:{port}/0?{urlencode(files)}"
            check(Settings(redis_url=SecretStr(url)))
            async with connect_redis(url, timeout=10) as redis:
                assert await redis.ping()  # pyright: ignore[reportGeneralTypeIssues]

    @pytest.mark.parametrize("way", ["another CA", "no certificate"])
    async def test_nobody_else_is_believed(self, pki: Pki, redis_url: str, way: str) -> None:
        files = {"ssl_ca_certs": pki.ca}
        if way == "another CA":
            files = {"ssl_ca_certs": pki.other_ca, "ssl_certfile": pki.client_cert, "ssl_keyfile": pki.client_key}
        async with door_to(port_of(redis_url), pki.server_context(clients=True)) as port:
            redis = connect_redis(f"rediss://127.0.0.1:{port}/0?{urlencode(files)}", timeout=10)
            with pytest.raises(RedisConnectionError):
                await redis.ping()  # pyright: ignore[reportGeneralTypeIssues]
            await redis.aclose()


class TestTemporal:
    async def test_with_a_certificate_of_ours(self, pki: Pki, temporal_address: str) -> None:
        async with door_to(port_of(f"//{temporal_address}"), pki.server_context(clients=True, alpn=("h2",))) as port:
            settings = Settings(
                temporal_address=f"127.0.0.1:{port}",
                temporal_ca=pki.ca,
                temporal_cert=pki.client_cert,
                temporal_key=pki.client_key,
                temporal_server_name="localhost",
            )
            check(settings)
            client = await reach(settings)
            assert isinstance(client, Client) and await client.service_client.check_health()

    @pytest.mark.parametrize("way", ["another CA", "no certificate", "in clear"])
    async def test_nobody_else_is_believed(self, pki: Pki, temporal_address: str, way: str) -> None:
        given = {
            "another CA": {
                "temporal_ca": pki.other_ca,
                "temporal_cert": pki.client_cert,
                "temporal_key": pki.client_key,
            },
            "no certificate": {"temporal_ca": pki.ca},
            "in clear": {},
        }[way]
        async with door_to(port_of(f"//{temporal_address}"), pki.server_context(clients=True, alpn=("h2",))) as port:
            with pytest.raises(RuntimeError):
                await reach(Settings(temporal_address=f"127.0.0.1:{port}", **given))


class TestApi:
    @pytest.fixture
    def settings(self, pki: Pki, tmp_path: Path, database_url: str, redis_url: str, temporal_address: str) -> Settings:
        pki.server.private_key_and_cert_chain_pem.write_to_path(tmp_path / "api.pem")
        return Settings(
            database_url=SecretStr(database_url),
            redis_url=SecretStr(redis_url),
            temporal_address=temporal_address,
            port=free_ports(1)[0],
            tls_cert=tmp_path / "api.pem",
            tls_client_ca=pki.ca,
        )

    async def test_only_callers_with_a_certificate_of_the_ca_are_heard(self, pki: Pki, settings: Settings) -> None:
        async with running_api(settings) as url, aiohttp.ClientSession() as http:
            assert url.startswith("https://")
            context = ssl.create_default_context(cafile=pki.ca)
            with pytest.raises((aiohttp.ClientError, OSError)):
                await http.get(f"{url}/livez", ssl=context)
            context.load_cert_chain(pki.stranger_cert, pki.stranger_key)
            with pytest.raises((aiohttp.ClientError, OSError)):
                await http.get(f"{url}/livez", ssl=context)
            context = ssl.create_default_context(cafile=pki.ca)
            context.load_cert_chain(pki.client_cert, pki.client_key)
            async with http.get(f"{url}/livez", ssl=context) as answer:
                assert answer.status == 200
                assert answer.headers["Strict-Transport-Security"]
            with pytest.raises((aiohttp.ClientError, OSError)):
                await http.get(f"{url}/livez", ssl=ssl.create_default_context(cafile=pki.other_ca))

    async def test_nothing_older_than_tls_1_2_is_spoken(self, pki: Pki, settings: Settings) -> None:
        without_clients = settings.model_copy(update={"tls_client_ca": None})
        async with running_api(without_clients) as url, aiohttp.ClientSession() as http:
            async with http.get(f"{url}/livez", ssl=ssl.create_default_context(cafile=pki.ca)) as answer:
                assert answer.status == 200
            old = ssl.create_default_context(cafile=pki.ca)
            old.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning):
                old.minimum_version = ssl.TLSVersion.TLSv1
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((aiohttp.ClientError, OSError)):
                await http.get(f"{url}/livez", ssl=old)


class TestFiles:
    def cases(self, pki: Pki, folder: Path) -> list[tuple[Settings, str]]:
        nonsense, gone = folder / "nonsense.pem", folder / "gone.pem"
        nonsense.write_text("this is no certificate")
        pg, redis = "postgresql://h/d?sslmode=verify-full&", "rediss://h/0?"
        return [
            (Settings(database_url=SecretStr(f"{pg}sslrootcert={gone}")), f"CLARION_DATABASE_URL: cannot read {gone}"),
            (
                Settings(redis_url=SecretStr(f"{redis}ssl_ca_certs={nonsense}")),
                f"CLARION_REDIS_URL: {nonsense} holds no",
            ),
            (Settings(temporal_ca=gone), "CLARION_TEMPORAL_CA, _CERT, _KEY: cannot read"),
            (Settings(temporal_cert=pki.client_cert, temporal_key=pki.stranger_key), "and its own key"),
            (Settings(temporal_key=pki.client_key), "a key without its certificate"),
            (Settings(tls_cert=nonsense), f"CLARION_TLS_CERT, _KEY, _CLIENT_CA: {nonsense}: not a certificate"),
            (Settings(tls_client_ca=pki.ca), "CLARION_TLS_CERT: is not set"),
        ]

    def test_a_wrong_one_is_one_line(self, pki: Pki, tmp_path: Path) -> None:
        for settings, line in self.cases(pki, tmp_path):
            with pytest.raises(SettingsError) as wrong:
                check(settings)
            assert line in str(wrong.value) and "\n" not in str(wrong.value)

    async def test_a_process_does_not_start_with_a_wrong_one(self, tmp_path: Path) -> None:
        command = (sys.executable, "-m", "cli.main", "api")
        environment = {**os.environ, "CLARION_TLS_CERT": "gone.pem", "PYTHONPATH": str(ROOT)}
        api = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said = (await api.communicate())[0].decode()
        assert api.returncode == 2
        assert "CLARION_TLS_CERT, _KEY, _CLIENT_CA: cannot read gone.pem" in said and said.count("\n") == 1

    def test_none_is_fine(self) -> None:
        check(Settings(database_url=SecretStr("postgresql://h/d"), redis_url=SecretStr("redis://h/0")))
