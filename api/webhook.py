"""`POST /webhook/{provider}` and `/webhook/callback`: signature first, then the receipts, committed before the 200."""

from collections.abc import Mapping, Sequence

from api.hearing import Hearing
from api.problems import Problem
from domain.receipts import Receipt
from observe import logs, metrics
from providers.base import Call, Forged, Malformed, Provider
from providers.callback import read_callback

log = logs.get(__name__)

CALLBACK = "callback"


class Webhook:
    """Takes vendors' reports."""

    def __init__(self, providers: Mapping[str, Provider], hearing: Hearing) -> None:
        self._providers = {name: p for name, p in providers.items() if p.card.receipts}
        self._hearing = hearing

    async def take(self, name: str, call: Call) -> None:
        """Returns when the reports are in the ledger. Raises Problem, Full, LedgerUnavailable."""
        try:
            receipts = await self._read(name, call)
        except Forged as error:
            metrics.count(metrics.RECEIPTS, name if name in self._providers else CALLBACK, "none", "forged")
            log.info("webhook.forged", provider=name, why=str(error))
            raise Problem("bad_signature") from None
        except Malformed as error:
            raise Problem("invalid_request", str(error)) from None
        await self._hearing.hear(receipts)

    async def _read(self, name: str, call: Call) -> Sequence[Receipt]:
        if name == CALLBACK:
            return read_callback(call)
        provider = self._providers.get(name)
        if provider is None:
            raise Problem("not_found", "No such provider reports here.")
        return await provider.receipts(call)
