"""How Prometheus gets at the metrics: as bytes for a route of ours, or from a small server in a worker."""

from dataclasses import dataclass
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.exposition import choose_encoder

import observe.metrics  # noqa: F401 - registers every metric, so that a fresh process already shows their names
from settings import SettingsError


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics of this process and their content type: OpenMetrics if the Accept header asks for it, else text."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type


@dataclass(frozen=True, slots=True)
class Serving:
    """The metrics server of this process."""

    port: int
    server: WSGIServer
    thread: Thread

    def close(self) -> None:
        """Stop answering and give the port back."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve(port: int, host: str) -> Serving:
    """Answer `GET /metrics` from a thread; port 0 picks a free one. Raises SettingsError if it cannot listen there."""
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise SettingsError(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}") from None
    return Serving(server.server_port, server, thread)
