"""`leadscore alerts verdict` and `report`: say what an alert was worth, and show what all of them were.

A verdict goes through the API; the report reads the table with the caller's own rights, the same on AWS and locally.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.instants import DAY, format_instant, from_datetime
from leadscore.core.verdicts import VERDICTS
from leadscore.usecases.alert_report import AlertReport, Verdicts, Volume, first_week, report_alerts
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import JsonOption, StageOption
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out

_CONNECTIONS = 10
_MOST_WEEKS = 104
# Nothing here writes a desk, so it need not be known over how many partitions those are spread.
_NO_SHARDS = 1


def verdict(
    alert: Annotated[str, typer.Argument(help="The alert's id; the alert says it at its end.")],
    said: Annotated[str, typer.Argument(metavar="VERDICT", help="good, junk or snooze.")],
    for_: Annotated[str | None, typer.Option("--for", help="How long a snooze is: 12h, 7d (unless told), 2w.")] = None,
    lead: Annotated[str | None, typer.Option(help="Of this lead, by any of its ids; else of all in the alert.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, on one line, without names of people.")] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Say what an alert was worth; a snooze has nobody told of its leads for a while."""
    if said not in VERDICTS:
        raise CommandError(f"{said!r}: one of {', '.join(VERDICTS)}")
    told = {"verdict": said, "for": for_, "lead": lead, "reason": reason}
    with target_of_project(stage).api() as api:
        answer = api.judge(alert, {name: value for name, value in told.items() if value is not None})
    if as_json:
        out.print_json(json.dumps(answer))
        return
    count = len(answer["leads"])
    until = f" until {answer['until']}" if answer["until"] else ""
    out.print(Text(f"{answer['verdict']}{until}: on record for {count} lead{'' if count == 1 else 's'} of the alert"))


def report(
    weeks: Annotated[int, typer.Option(min=1, max=_MOST_WEEKS, help="So many weeks, this one included.")] = 4,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show how many alerts went out by week, how many got an answer, and which criteria were behind good and junk."""
    found = _read_report(target_of_project(stage), weeks)
    if as_json:
        out.print_json(json.dumps(found.to_dict()))
    else:
        out.print(_weeks_table(found))
        out.print(_criteria_table(found) if found.criteria else Text("no alert went out"))
    for week in found.weeks:
        if week.is_too_many:
            message = (
                f"week of {format_instant(week.begins)[:10]}: {week.volume.alerts} alerts, over {found.warn_above}"
            )
            err.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)


def _read_report(target: Target, weeks: int) -> AlertReport:
    names, now = target.deployment, from_datetime(utc_now())
    # An alert is found by when it was sealed, and may have gone out a little later.
    since = format_instant(first_week(now, weeks) - DAY)
    try:
        with target.dynamodb(_CONNECTIONS) as client, target.ssm() as ssm:
            desks = DynamoDesks(client, names.table, shards=_NO_SHARDS, retention_days=names.event_retention_days)
            policy = read_ruleset(ssm, names.ruleset_parameter).alerts
            return report_alerts(desks.walk_alerts(since), now, weeks, None if policy is None else policy.warn_above)
    except (BotoCoreError, ClientError) as problem:
        raise CommandError(f"the alerts cannot be read: {problem}") from problem


def _weeks_table(found: AlertReport) -> Table:
    table = _table("Week of", "Alerts", "Answered", "Good", "Junk", "Snoozed", "Precision")
    for week in found.weeks:
        table.add_row(format_instant(week.begins)[:10], *_volume(week.volume))
    table.add_row("all", *_volume(found.total), style="bold")
    return table


def _criteria_table(found: AlertReport) -> Table:
    table = _table("Criterion", "Leads", "Good", "Junk", "Snoozed", "Precision")
    for one in found.criteria:
        table.add_row(escape(one.criterion), str(one.leads), *_verdicts(one.verdicts))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    return table


def _volume(volume: Volume) -> tuple[str, ...]:
    share = volume.acknowledged_share
    answered = str(volume.acknowledged) if share is None else f"{volume.acknowledged} ({share:.0%})"
    return str(volume.alerts), answered, *_verdicts(volume.verdicts)


def _verdicts(verdicts: Verdicts) -> tuple[str, ...]:
    precision = "-" if verdicts.precision is None else f"{verdicts.precision:.0%}"
    return str(verdicts.good), str(verdicts.junk), str(verdicts.snooze), precision
