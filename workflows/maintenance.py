"""Housekeeping on a schedule: one activity at a time, by its name."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from domain.priorities import MAINTENANCE
    from domain.runs import MAINTENANCE_WORKFLOW

# The sweep has to be back as soon as the ledger is: Temporal's own policy would let it wait for up to 100 s.
_SOON = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=5))


@workflow.defn(name=MAINTENANCE_WORKFLOW)
class MaintenanceWorkflow:
    """`sweep` looks after runs that are late or lost, `tidy` keeps tables small."""

    @workflow.run
    async def run(self, chore: str) -> dict[str, int]:
        """What was done, by kind."""
        return await workflow.execute_activity(
            chore,
            result_type=dict[str, int],
            summary=chore,
            task_queue=MAINTENANCE,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=_SOON,
        )
