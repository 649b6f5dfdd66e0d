"""An operator's word: disable, drain, trust again; and what becomes of it when Redis forgets."""

from gates import HIGH, LOW, break_it, gate_at
from redis.asyncio import Redis

from domain.operators import Operator, Switch
from throttle.words import Breaker


async def test_nothing_goes_to_a_disabled_provider(redis_url: str) -> None:
    async with gate_at(redis_url) as gate, gate_at(redis_url) as other:
        await gate.set_operator("vendor", Switch.DISABLED, "invoice unpaid")
        admission = await other.admit("vendor", 5, HIGH)
        assert (admission.granted, admission.wait, admission.reason) == (0, None, "disabled: invoice unpaid")


async def test_what_is_queued_for_a_draining_provider_still_goes(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await gate.set_operator("vendor", Switch.DRAINING, "moving away", weight=0.0)
        assert (await gate.admit("vendor", 5, LOW)).granted == 5
        view = (await gate.states())["vendor"]
        assert view.operator == Operator(Switch.DRAINING, "moving away", 0.0) and not view.takes_new


async def test_to_enable_is_to_trust_again(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await gate.pause("vendor", 60)
        change = await gate.set_operator("vendor", Switch.ENABLED, "vendor says it is fixed")
        assert change is not None
        assert (change.before, change.after) == (Breaker.OPEN, Breaker.CLOSED)
        assert change.reason == "closed by an operator: vendor says it is fixed"
        assert (await gate.admit("vendor", 5, HIGH)).granted == 5


async def test_loading_closes_no_breaker(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await gate.load_operators({"vendor": Operator(weight=3.0)})
        view = (await gate.states())["vendor"]
        assert view.breaker is Breaker.OPEN and view.operator.weight == 3


async def test_a_redis_that_lost_its_memory_enables_nothing(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await gate.load_operators({"vendor": Operator(Switch.DISABLED, "no contract")})
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        for _ in range(2):
            assert (await gate.admit("vendor", 5, HIGH)).reason == "disabled: no contract"
        assert (await gate.states())["vendor"].operator.switch is Switch.DISABLED
