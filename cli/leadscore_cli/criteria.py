"""`leadscore criteria`: a ruleset on trial, with nothing deployed. The product's own core judges."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from leadscore import Ruleset, Score, score_events
from leadscore.core.explaining import explain_score
from leadscore.core.instants import parse_instant, to_datetime
from leadscore.normalising import InvalidEvent, NormalisedEvent, normalise_event
from leadscore_cli.diff_command import diff
from leadscore_cli.event_lines import Event, read_events
from leadscore_cli.failures import CommandError
from leadscore_cli.publish_commands import history, push, rollback
from leadscore_cli.ruleset_files import RulesetFile, read_publishable_text
from leadscore_cli.suggest_command import suggest_points
from leadscore_cli.tables import tier_text
from leadscore_cli.terminal import CommandGroup, out

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Try a ruleset, publish it, and go back.")
app.command("suggest")(suggest_points)
app.command()(diff)
app.command()(push)
app.command()(history)
app.command()(rollback)


@app.command()
def validate(file: RulesetFile) -> None:
    """Say whether a ruleset can be published, naming every problem with its path and value."""
    ruleset = _read_ruleset(file)
    tiers = ", ".join(tier.name for tier in ruleset.tiers)
    out.print(Text(f"valid: version {ruleset.version}, {len(ruleset.criteria)} criteria, tiers {tiers}"))


@app.command()
def explain(
    file: RulesetFile,
    events: Annotated[
        typer.FileText, typer.Option(encoding="utf-8", help="One event a line, as JSON; - for standard input.")
    ],
    at: Annotated[str | None, typer.Option(help="The instant to score at, in ISO 8601; default: now.")] = None,
    lead: Annotated[str | None, typer.Option(help="Only the events that carry this id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole score as JSON.")] = False,
) -> None:
    """Score one lead from a file of its events and show every point."""
    ruleset = _read_ruleset(file)
    instant = _instant(at)
    normalised = [_normalised(number, event, instant) for number, event in read_events(events)]
    score = score_events(ruleset, _of_one_lead(normalised, lead), instant)
    if as_json:
        out.print_json(json.dumps(score.to_dict()), indent=2)
    else:
        _print_score(score)


def _read_ruleset(file: typer.FileText) -> Ruleset:
    return read_publishable_text(file.read(), file.name)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        return to_datetime(parse_instant(text))
    except (ValueError, OverflowError) as problem:
        raise CommandError(f"--at {text!r} is no ISO 8601 instant") from problem


def _normalised(number: int, event: Event, at: datetime) -> NormalisedEvent:
    # A recorded event counts from its own time: what it lacks of a receiver's clock is taken from the sender's.
    clock = event.get("receivedAt") or event.get("sentAt") or event.get("timestamp") or at.isoformat()
    try:
        return normalise_event(event, received_at=parse_instant(str(clock)))
    except (InvalidEvent, ValueError) as problem:
        raise CommandError(f"line {number} is no event: {problem}") from problem


def _of_one_lead(events: list[NormalisedEvent], lead: str | None) -> list[NormalisedEvent]:
    if lead is not None:
        return [event for event in events if lead in (event.get("userId"), event.get("anonymousId"))]
    people = sorted({str(event["userId"]) for event in events if "userId" in event})
    if len(people) > 1:
        raise CommandError(f"the events are of {len(people)} people: choose one with --lead, such as {people[0]}")
    return events


def _print_score(score: Score) -> None:
    groups = "   ".join(f"{name} {points:.1f}" for name, points in score.groups.items())
    out.print(Text.assemble((f"{score.total:.1f}", "bold"), "  ", tier_text(score.tier), f"   {groups}"))
    for line in explain_score(score):
        out.print(Text(line))
    if score.next_change_at is not None:
        out.print(Text(f"time alone changes the tier at {score.next_change_at.isoformat()}", style="dim"))
