"""`leadscore quarantine`: which events do not count and why, and letting them count after all.

It reads the table and sends to the events queue with the caller's own rights, the same on AWS and locally. An event is
sent before it is removed: what is interrupted comes twice, and is applied once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched, islice
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.core.identity import Identity, display_id, meanings
from leadscore.core.instants import format_instant, from_datetime, parse_duration
from leadscore.quarantine import Reason
from leadscore.usecases import quarantining
from leadscore.usecases.forest import find_path, load_kept, load_tree
from leadscore.usecases.quarantining import EventQueue
from leadscore.usecases.records import Quarantined, Reader
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import CommandGroup, out, report

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Show the events that do not count, or let them count after all."
)
LeadOption = Annotated[str | None, typer.Option(help="Those of one lead, by any of its ids.")]
# As many as one request reads.
_AT_ONCE = 100
# Connections that the threads of the adapters share.
_CONNECTIONS = 10
# Nothing here walks the ranking, so it need not be known over how many partitions that is spread.
_NO_SHARDS = 1
_HEADINGS = ("Received", "Reason", "Source", "Lead", "Event")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One stage's quarantine and the queue that leads out of it."""

    ward: DynamoWard
    reader: Reader
    events: EventQueue

    def of_lead(self, text: str) -> tuple[list[Quarantined], list[Identity]]:
        """Return the quarantined events of a lead, newest first, and all identities that it goes by."""
        path = find_path(self.reader, text, quarantined=True)
        tree = load_tree(self.reader, path[-1]) if path else []
        return sorted(load_kept(self.reader, tree), key=_received, reverse=True), [
            *(one.identity for one in tree),
            *meanings(text),
        ]

    def newest(self, reasons: Sequence[Reason], since: str, most: int) -> list[Quarantined]:
        """Return the newest events of the reasons, at most so many."""
        return self.ward.load(list(islice(self.ward.walk(reasons, since), most)))

    def clear(self, reasons: Sequence[Reason]) -> Iterator[int]:
        """Let all events of the reasons count; yield how many that were, some at a time."""
        for keys in batched(self.ward.walk(reasons), _AT_ONCE, strict=False):
            some = self.ward.load(keys)
            quarantining.clear(self.ward, self.events, some)
            yield len(some)

    def clear_lead(self, text: str) -> int:
        """Let all events of a lead count, and unmark it; return how many events that were."""
        kept, names = self.of_lead(text)
        for some in batched(kept, _AT_ONCE, strict=False):
            quarantining.clear(self.ward, self.events, some)
        quarantining.clear(self.ward, self.events, [], names)
        return len(kept)


@app.command(name="list")
def list_quarantined(
    reason: Annotated[Reason | None, typer.Option(help="Those of one reason.")] = None,
    lead: LeadOption = None,
    since: Annotated[str | None, typer.Option(help="Received no longer ago than this: 12h, 7d, 2w.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="So many of the newest.")] = 20,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Show how many events do not count, by reason, and the newest of them; they hold personal data."""
    first = _instant_before(since)
    reasons = list(Reason) if reason is None else [reason]
    with _quarantine(stage) as quarantine:
        if lead is not None:
            kept = [each for each in quarantine.of_lead(lead)[0] if each.reason in reasons and _received(each) >= first]
            counts = Counter(each.reason for each in kept)
            kept = kept[:limit]
        else:
            counts = Counter({each: quarantine.ward.count(each, first) for each in reasons})
            kept = quarantine.newest(reasons, first, limit)
    if as_json:
        out.print_json(json.dumps({"counts": _told(counts), "events": [_described(each) for each in kept]}))
        return
    for name, count in _told(counts).items():
        out.print(Text(f"{count:8,} {name}"))
    out.print(_table(kept) if kept else Text("nothing is quarantined"))


@app.command(name="clear")
def clear_quarantined(
    reason: Annotated[Reason | None, typer.Option(help="All of one reason.")] = None,
    lead: LeadOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every one.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Let quarantined events count after all; whoever was marked by them counts from now on."""
    if [reason is not None, lead is not None, everything].count(True) != 1:
        raise CommandError("clear what? --reason REASON, --lead ID or --all")
    reasons = list(Reason) if reason is None else [reason]
    with _quarantine(stage) as quarantine:
        count = len(quarantine.of_lead(lead)[0]) if lead else sum(map(quarantine.ward.count, reasons))
        if count and not yes:
            typer.confirm(f"Let {count:,} events count?", abort=True, err=True)
        cleared = quarantine.clear_lead(lead) if lead is not None else sum(quarantine.clear(reasons))
    report(f"{cleared:,} events are on their way to be scored" if cleared else "nothing is quarantined")


@contextmanager
def _quarantine(stage: str) -> Iterator[Quarantine]:
    target = target_of_project(stage)
    names = target.deployment
    with target.dynamodb(_CONNECTIONS) as client, target.sqs() as sqs:
        ward = DynamoWard(client, names.table, pause, retention_days=names.event_retention_days)
        reader = DynamoReader(client, names.table, shards=_NO_SHARDS, retention_days=names.event_retention_days)
        try:
            yield Quarantine(ward, reader, SqsQueue(sqs, names.events_queue_url))
        except (BotoCoreError, ClientError, QueueError) as problem:
            raise CommandError(f"the quarantine cannot be read or changed: {problem}") from problem


def _instant_before(since: str | None) -> str:
    if since is None:
        return ""
    try:
        return format_instant(from_datetime(utc_now()) - parse_duration(since))
    except (ValueError, OverflowError) as problem:
        raise CommandError(f"--since {since!r}: {problem}") from problem


def _received(quarantined: Quarantined) -> str:
    return str(quarantined.event.get("receivedAt") or quarantined.event["timestamp"])


def _told(counts: Counter[Reason]) -> dict[str, int]:
    return {reason.value: counts[reason] for reason in Reason if counts[reason]}


def _described(quarantined: Quarantined) -> dict[str, Any]:
    return {
        "lead": display_id(quarantined.identity),
        "reason": quarantined.reason,
        "source": quarantined.source,
        "received": _received(quarantined),
        "quarantined": format_instant(quarantined.at),
        "event": quarantined.event,
    }


def _table(kept: Sequence[Quarantined]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in kept:
        event = each.event
        name = " ".join(str(event[field]) for field in ("type", "event", "name") if event.get(field))
        told = (_received(each), each.reason.value, each.source, display_id(each.identity), name)
        table.add_row(*map(escape, told))
    return table
