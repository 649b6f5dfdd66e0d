"""A workflow of the same name that does something else: what a replay has to catch."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.runs import WORKFLOW, Run


@workflow.defn(name=WORKFLOW)
class OtherRun:
    """Ends at once."""

    @workflow.run
    async def run(self, run: Run) -> str:
        """Nothing is carried."""
        return run.batch
