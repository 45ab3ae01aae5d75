"""`leadscore insights`: what past conversions say of the criteria, as it is stored or learned anew."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Literal

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadscore_cli.failures import CommandError
from leadscore_cli.insight_tables import insights_view
from leadscore_cli.insights_run import InsightsRun, RunStanding, begin_insights
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import JsonOption, StageOption
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out, report

_LOOK_SECONDS = 1.0
_BEGINNINGS: Mapping[Literal["new", "under way"], str] = {
    "new": "learning from the whole log",
    "under way": "following the run that is under way",
}


def insights(
    refresh: Annotated[bool, typer.Option("--refresh", help="Learn anew from the whole log first.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show what each criterion was worth by past conversions, and whether the score still predicts them."""
    target = target_of_project(stage)
    if refresh:
        refresh_insights(target)
    with target.api() as api:
        found = api.insights()
    if as_json:
        out.print_json(json.dumps(found))
    else:
        out.print(insights_view(found))


def refresh_insights(target: Target) -> RunStanding:
    """Have insights learned anew and wait until readers get them.

    Raises CommandError where the run stopped, or where AWS does not let it be started or followed.
    """
    names = target.deployment
    try:
        with target.states() as states, target.dynamodb(1) as dynamodb:
            run = begin_insights(states, names.insights_machine_arn)
            report(_BEGINNINGS[run.origin])
            items = dynamodb.describe_table(TableName=names.table)["Table"]["ItemCount"]
            standing = _follow(run, items)
    except (BotoCoreError, ClientError) as problem:
        raise CommandError(f"the run cannot be started or followed: {problem}") from problem
    if not standing.is_complete:
        why = "`leadscore logs insights` says why"
        raise CommandError(f"the run stopped ({standing.status}): {why}", standing.reason)
    return standing


def _follow(run: InsightsRun, items: int) -> RunStanding:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[leads]} leads"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("learning", total=items, leads=0)
        try:
            while not (standing := run.look()).is_over:
                # AWS knows the number of items only roughly.
                progress.update(task, completed=standing.items, total=max(items, standing.items), leads=standing.leads)
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            err.print(Text("the run goes on without you: --refresh follows it again", style="dim"))
            raise
    return standing
