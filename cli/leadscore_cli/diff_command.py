"""`leadscore criteria diff`: what another ruleset says otherwise, and what it would make of the leads there are.

two rulesets --> their differences in words
             '-> every stored lead under both --> who changes tier and why, and how often people would be told
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from leadscore import InvalidRuleset, Ruleset
from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.decay import UNITS_PER_POINT
from leadscore.core.instants import DAY
from leadscore.learning.backtesting import Backtest, Subject, run_backtest
from leadscore.learning.dry_runs import DryRun, Mover
from leadscore.learning.sampling import Sampling
from leadscore.stored_ruleset import TornRulesetError
from leadscore.usecases.dry_run import ALERT_SPAN, DryRunReport
from leadscore_cli.backtest_command import scored_weeks
from leadscore_cli.backtest_tables import overview
from leadscore_cli.dry_run_walk import SEGMENTS, DryRunner, open_dry_runner
from leadscore_cli.dry_run_walk import Progress as Advance
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.ruleset_files import RulesetFile, read_ruleset_path, read_ruleset_text
from leadscore_cli.sampling_run import take_sample
from leadscore_cli.tables import tier_text
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out

ACTIVE = "active"
LEADS_PER_WEEK = 40.0
_DAYS = ALERT_SPAN // DAY
_MOST_CRITERIA = 10
# How long after it was scored a conversion counts for a past lead.
_WINDOW = 30 * DAY
_NOT_REPLAYED = (
    "The past is lived through lead by lead, from its log: what comes of several people of one account at one desk, "
    "alerts on accounts themselves, snoozes, and that events came late or were imported is not in it."
)


def diff(
    file: RulesetFile,
    against: Annotated[
        str, typer.Option(help="The ruleset to compare with: active (the stage's), or a file.")
    ] = ACTIVE,
    sample: Annotated[int | None, typer.Option(min=1, help="So many leads instead of all.")] = None,
    movers: Annotated[int, typer.Option(min=0, max=50, help="So many of the leads that move furthest.")] = 10,
    test_past: Annotated[
        bool, typer.Option("--backtest/--no-backtest", help="Try both on past leads, where there is a goal.")
    ] = True,
    per_week: Annotated[
        float, typer.Option(min=0.1, help="How many leads your team works in a week.")
    ] = LEADS_PER_WEEK,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Say what a ruleset would change: its criteria in words, who changes tier and why, and how many alerts.

    Changes nothing. It shows ids of leads, which are personal data.
    """
    new = read_ruleset_text(file.read(), file.name)
    target = target_of_project(stage)
    old = read_active(target) if against == ACTIVE else read_ruleset_path(against)
    done = compare_on_stage(target, old, new, sample)
    # A sample is for who is in a hurry, and a backtest reads the whole log.
    tried = try_past(target, done, per_week) if test_past and sample is None else None
    if as_json:
        out.print_json(json.dumps({**done.to_dict(), "backtest": None if tried is None else tried.to_dict()}))
        return
    print_report(done, movers)
    if tried is not None:
        print_past(tried)


def compare_on_stage(target: Target, old: Ruleset, new: Ruleset, sample: int | None) -> DryRunReport:
    """Return what another ruleset would make of a stage's leads, of so many of them or of all."""
    with _open(target, old, new) as runner:
        if sample is None:
            with _bar("comparing all leads", SEGMENTS) as advance:
                return runner.run_all(advance)
        with _bar("comparing a sample", sample) as advance:
            return runner.run_sample(sample, advance)


def read_active(target: Target) -> Ruleset:
    """Return the ruleset that is published on the target."""
    try:
        with target.ssm() as client:
            return read_ruleset(client, target.deployment.ruleset_parameter)
    except (InvalidRuleset, TornRulesetError, ClientError, BotoCoreError) as problem:
        raise CommandError(f"the ruleset of the stage cannot be read: {problem}") from problem


def try_past(target: Target, done: DryRunReport, per_week: float = LEADS_PER_WEEK) -> Backtest | None:
    """Return how both rulesets would have ranked past leads, None where the new one names no goal."""
    old, new, now = done.comparing.old, done.comparing.new, done.comparing.now
    if new.goal is None:
        return None
    sample = take_sample(target, Sampling(new, now, _WINDOW, against=old))
    return run_backtest(
        scored_weeks(sample),
        Subject("new", new.version, new.tiers),
        Subject("old", old.version, old.tiers),
        window=_WINDOW,
        per_week=per_week,
        late=sample.late,
    )


def print_past(tried: Backtest) -> None:
    """Show the figures that tell most; `leadscore backtest` shows all."""
    table = overview(tried)
    drawn = Table(box=None, pad_edge=False)
    for place, heading in enumerate(table.headings):
        drawn.add_column(escape(heading), justify="left" if place < table.words else "right")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    _print_table("On past leads (`leadscore backtest` tells more)", drawn)
    out.print(Text(tried.verdict))
    for warning in tried.warnings:
        out.print(Text.assemble(("! ", "yellow"), warning))


def print_report(done: DryRunReport, movers: int) -> None:
    """Show what a ruleset would change on the terminal."""
    _print_changes(done)
    run = done.dry_run
    out.print()
    out.print(Text(_headline(done), style="bold"))
    if run.leads:
        _print_table("Tiers, from the old (rows) to the new (columns)", _matrix_table(run))
    for line in _remarks(run):
        out.print(Text.assemble(("! ", "yellow"), line))
    if run.criteria:
        _print_table("Criteria behind it", _criteria_table(run))
    if run.movers and movers:
        _print_table("Who moves furthest", _movers_table(run.movers[:movers]))
    _print_table(f"Alerts on leads in the last {_DAYS} days", _alerts_table(run))
    out.print(Text(_sent_in_all(done)))
    out.print(Text(_NOT_REPLAYED, style="dim"))


def _print_table(title: str, table: Table) -> None:
    out.print()
    out.print(Text(title, style="bold"))
    out.print(table)


@contextmanager
def _open(target: Target, old: Ruleset, new: Ruleset) -> Iterator[DryRunner]:
    try:
        with open_dry_runner(target, old, new) as runner:
            yield runner
    except (BotoCoreError, ClientError) as problem:
        raise CommandError(f"the leads cannot be read: {problem}") from problem


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[leads]} leads"))
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
        task = progress.add_task(what, total=total, leads=0)
        yield lambda completed, leads: progress.update(task, completed=completed, leads=leads)


def _print_changes(done: DryRunReport) -> None:
    changes, run = done.changes, done.dry_run
    out.print(Text(f"{run.old} -> {run.new}: {_count(len(changes), 'difference')}", style="bold"))
    styles = {"added": "green", "removed": "red", "changed": ""}
    for change in changes:
        out.print(Text(change.tell(), style=styles[change.kind]))


def _headline(done: DryRunReport) -> str:
    run = done.dry_run
    whom = _count(run.leads, "stored lead") if done.is_all else f"a sample of {_count(run.leads, 'stored lead')}"
    return f"{whom}: {run.moved:,} of them change tier ({_share(run.moved, run.leads)}), {run.changed:,} their score"


def _matrix_table(run: DryRun) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    columns = [name for name in run.tiers_after if any(after == name for _, after in run.matrix)]
    for name in columns:
        table.add_column(tier_text(name), justify="right")
    table.add_column("all", justify="right", header_style="dim")
    for before in run.tiers_before:
        counts = {after: run.matrix.get((before, after), 0) for after in columns}
        if any(counts.values()):
            cells = (_cell(n, stays=after == before) for after, n in counts.items())
            table.add_row(tier_text(before), *cells, Text(f"{sum(counts.values()):,}", style="dim"))
    sums = (sum(run.matrix.get((before, after), 0) for before in run.tiers_before) for after in columns)
    table.add_row(Text("all", style="dim"), *(Text(f"{n:,}", style="dim") for n in sums), f"{run.leads:,}")
    return table


def _cell(count: int, *, stays: bool) -> Text:
    return Text(f"{count:,}" if count else "-", style="dim" if stays or not count else "bold")


def _remarks(run: DryRun) -> list[str]:
    remarks = []
    if run.unstored_counting:
        remarks.append(
            f"{_count(run.unstored_counting, 'lead')} of which nothing is stored, as nothing of them ever counted, "
            "would leave the lowest tier: only a full `leadscore rebuild --all` finds them"
        )
    if run.failed:
        remarks.append(f"{_count(run.failed, 'lead')} could not be read and are in no figure: see `leadscore verify`")
    return remarks


def _criteria_table(run: DryRun) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("Criterion")
    for heading in ("Leads with more", "with less", "Points in all"):
        table.add_column(heading, justify="right")
    shown = list(run.criteria.items())[:_MOST_CRITERIA]
    for name, moves in shown:
        table.add_row(escape(name), f"{moves.more:,}", f"{moves.less:,}", f"{moves.units / UNITS_PER_POINT:+,.1f}")
    if len(run.criteria) > len(shown):
        table.add_row(Text(f"and {len(run.criteria) - len(shown)} more", style="dim"))
    return table


def _movers_table(movers: tuple[Mover, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("Lead", "From", "To", "Points", "Because of"):
        table.add_column(heading, justify="right" if heading == "Points" else "left", overflow="fold")
    for mover in movers:
        before, after = mover.before, mover.after
        table.add_row(
            escape(mover.lead),
            Text.assemble(f"{before.score:.1f} ", tier_text(before.tier)),
            Text.assemble(f"{after.score:.1f} ", tier_text(after.tier)),
            f"{mover.points:+.1f}",
            escape(_why(mover)),
        )
    return table


def _why(mover: Mover) -> str:
    parts = [f"{gate} disqualifies under one alone" for gate in mover.gates]
    parts += [f"{move.criterion} {move.before:.1f} -> {move.after:.1f}" for move in mover.moves]
    if mover.rest:
        parts.append(f"others {mover.rest:+.1f}")
    return ", ".join(parts) or "the tiers' bounds"


def _alerts_table(run: DryRun) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("Times told", "of them hand-raises", "Leads"):
        table.add_column(heading, justify="right")
    for name, told in (("under the old ruleset", run.told_before), ("under the new ruleset", run.told_after)):
        table.add_row(name, f"{told.alerts:,}", f"{told.hand_raises:,}", f"{told.leads:,}")
    table.add_row("leads under both", "", "", f"{run.told_both:,}")
    table.add_row("really told of these leads", f"{run.sent:,}", "", "")
    return table


def _sent_in_all(done: DryRunReport) -> str:
    sent = done.comparing.sent
    told_of = f"{sum(sent.leads.values()):,} times of a lead, {sent.accounts:,} of an account"
    return f"Really sent in all: {_count(sent.alerts, 'alert')}, {told_of}."


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
