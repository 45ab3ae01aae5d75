"""`leadscore alerts`: which changes people were told of, which wait, and which were suppressed and why.

It reads the table with the caller's own rights, the same on AWS and locally.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.core.changes import Change
from leadscore.core.instants import format_instant, from_datetime, parse_duration
from leadscore.usecases.alert_records import OUTCOMES, AccountChangeRecord, ChangeRecord
from leadscore_cli.alert_feedback import report, verdict
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import CommandGroup, out

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Show what became of alerts, and say what they were worth."
)
app.command()(verdict)
app.command()(report)
_CONNECTIONS = 10
# Nothing here writes a desk, so it need not be known over how many partitions those are spread.
_NO_SHARDS = 1
type Record = ChangeRecord | AccountChangeRecord
_HEADINGS = ("When", "Lead", "Change", "Score", "Outcome", "Reason")


@app.command(name="list")
def list_alerts(
    outcome: Annotated[str | None, typer.Option(help="Those with one outcome: sent, waiting or suppressed.")] = None,
    lead: Annotated[str | None, typer.Option(help="Those of one lead, by the id that it is shown with.")] = None,
    since: Annotated[str, typer.Option(help="Of changes no longer ago than this: 12h, 7d, 2w.")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 50,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Show changes that an alert was about or could have been, newest first; they hold personal data."""
    if outcome is not None and outcome not in OUTCOMES:
        raise CommandError(f"--outcome {outcome!r}: one of {', '.join(OUTCOMES)}")
    first = _instant_before(since)
    with _desks(stage) as desks:
        walks: list[Iterator[Record]] = [desks.walk_changes(first), desks.walk_account_changes(first)]
        newest_first = merge(*walks, key=_instant_of, reverse=True)
        wanted = (one for one in newest_first if _is_wanted(one, outcome, lead))
        found = list(islice(wanted, limit))
    if as_json:
        out.print_json(json.dumps([_described(one) for one in found]))
        return
    out.print(_table(found) if found else Text("nothing is on record"))
    counts = Counter(one.outcome for one in found)
    out.print(Text(", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])))


def _instant_of(record: Record) -> str:
    return record.change.at


def _is_wanted(record: Record, outcome: str | None, lead: str | None) -> bool:
    if lead is not None and (isinstance(record, AccountChangeRecord) or record.change.person["id"] != lead):
        return False
    return record.outcome in OUTCOMES if outcome is None else record.outcome == outcome


@contextmanager
def _desks(stage: str) -> Iterator[DynamoDesks]:
    target = target_of_project(stage)
    names = target.deployment
    with target.dynamodb(_CONNECTIONS) as client:
        try:
            yield DynamoDesks(client, names.table, shards=_NO_SHARDS, retention_days=names.event_retention_days)
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the alerts cannot be read: {problem}") from problem


def _instant_before(since: str) -> str:
    try:
        return format_instant(from_datetime(utc_now()) - parse_duration(since))
    except (ValueError, OverflowError) as problem:
        raise CommandError(f"--since {since!r}: {problem}") from problem


def _described(record: Record) -> dict[str, Any]:
    change = record.change
    lead = change if isinstance(change, Change) else None
    return {
        "id": change.id,
        "at": change.at,
        "lead": None if lead is None else lead.person["id"],
        "kind": "account" if lead is None else lead.kind,
        "cause": change.cause,
        "event": None if lead is None else lead.event,
        "tier": change.tier,
        "previous_tier": change.previous_tier,
        "score": change.score,
        "account": change.account,
        "outcome": record.outcome,
        "reason": record.reason,
        "alert": record.alert,
    }


def _table(found: Sequence[Record]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in found:
        change = one.change
        who, step = f"account {change.account}", f"{change.previous_tier} to {change.tier}"
        if isinstance(change, Change):
            who, step = change.person["id"], change.event or step
        told = (change.at, who, step, f"{change.score:.1f}", one.outcome, one.reason)
        table.add_row(*map(escape, told))
    return table
