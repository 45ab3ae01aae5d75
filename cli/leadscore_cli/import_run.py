"""An import from S3 as its state machine runs it: started, followed, and gone on with where one has stopped.

the newest execution of the same prefix --runs----> followed
                                        --failed--> redriven: Step Functions goes on with the lots that failed
                                        --else----> a new execution
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from leadscore.usecases.importing import Counts
from leadscore_cli.failures import CommandError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

Origin = Literal["new", "under way", "stopped"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: its objects, and once it is over, what became of their lines."""

    status: str
    objects: int
    all_objects: int
    counts: Counts
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in {"RUNNING", "PENDING_REDRIVE"}

    @property
    def is_complete(self) -> bool:
        """Whether all was read."""
        return self.status == "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class ImportRun:
    """One execution, and how this command came by it."""

    client: SFNClient
    execution: str
    origin: Origin = "new"

    def look(self) -> Standing:
        """Return how it stands by now."""
        described = self.client.describe_execution(executionArn=self.execution)
        runs = self.client.list_map_runs(executionArn=self.execution)["mapRuns"]
        done, total = 0, 0
        if runs:
            items = self.client.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
            done, total = items["succeeded"], items["total"]
        counts = Counts()
        if described["status"] == "SUCCEEDED":
            lots = json.loads(described["output"])
            counts = sum((Counts.from_dict(lot["counts"]) for lot in lots), Counts())
            done = total = sum(lot["objects"] for lot in lots)
        return Standing(described["status"], done, total, counts, described.get("cause", ""))


def begin_run(client: SFNClient, machine: str, prefix: str, *, anew: bool) -> ImportRun:
    """Return the run of that prefix that is under way, or is gone on with, or else is started now.

    Raises CommandError while another prefix is being imported.
    """
    newest = client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if newest:
        described: Any = client.describe_execution(executionArn=newest[0]["executionArn"])
        is_same = json.loads(described.get("input", "{}")).get("prefix") == prefix
        run = ImportRun(client, described["executionArn"], "under way")
        if not Standing(described["status"], 0, 0, Counts()).is_over:
            if is_same:
                return run
            raise CommandError("another import is under way: wait for its end, or stop it in Step Functions")
        if is_same and not anew and described.get("redriveStatus") == "REDRIVABLE":
            client.redrive_execution(executionArn=run.execution)
            return ImportRun(client, run.execution, "stopped")
    started = client.start_execution(stateMachineArn=machine, input=json.dumps({"prefix": prefix}))
    return ImportRun(client, started["executionArn"])
