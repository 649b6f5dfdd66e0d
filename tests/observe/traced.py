"""A workflow and two activities to trace."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from observe import traces


@activity.defn
async def call() -> str | None:
    """Stands for a vendor call: says what trace context it would hand on."""
    with traces.start("vendor", provider="ses") as span:
        return span.traceparent


@activity.defn
async def fail() -> None:
    raise ValueError("no such user ada@example.com")


@workflow.defn
class Carry:
    @workflow.run
    async def run(self, name: str) -> str | None:
        return await workflow.execute_activity(
            name, start_to_close_timeout=timedelta(seconds=60), retry_policy=RetryPolicy(maximum_attempts=1)
        )
