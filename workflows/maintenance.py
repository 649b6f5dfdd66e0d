"""Housekeeping on a schedule: one activity at a time, by its name."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.priorities import MAINTENANCE
    from domain.runs import MAINTENANCE_WORKFLOW


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
        )
