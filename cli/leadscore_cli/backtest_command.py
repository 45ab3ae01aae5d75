"""`leadscore backtest`: a ruleset tried on the leads of the past, before anyone is affected by it.

ruleset [, another] --> sample of the stage's log, or of files of events --> Backtest --> terminal, JSON, HTML page
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore import InvalidRuleset, Ruleset
from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_duration
from leadscore.learning.backtesting import Backtest, Subject, run_backtest
from leadscore.learning.samples import PairCount
from leadscore.learning.sampling import Sampler, Sampling
from leadscore.stored_ruleset import TornRulesetError
from leadscore_cli import backtest_tables
from leadscore_cli.backtest_tables import FigureTable, PastLeads
from leadscore_cli.event_histories import read_event_histories
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.ruleset_files import RulesetFile, read_ruleset_path, read_ruleset_text
from leadscore_cli.sampling_run import take_sample
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import out, report

if TYPE_CHECKING:
    from leadscore.learning.samples import Counts
    from leadscore.learning.sampling import Sample

ACTIVE = "active"


def backtest(
    file: RulesetFile,
    against: Annotated[
        str | None, typer.Option(help="A second ruleset on the same leads: active (the stage's), or a file.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(help="Take leads from files or folders of events, as `leadscore import` takes them; no stage."),
    ] = None,
    window: Annotated[str, typer.Option(help="How long after it was scored a conversion counts for a lead.")] = "30d",
    per_week: Annotated[float, typer.Option(min=0.1, help="How many leads your team works in a week.")] = 40,
    moment: Annotated[
        Literal["random", "qualified"],
        typer.Option(
            help="When a lead is scored: 1 to 30 days after its first event, or as it leaves the lowest tier."
        ),
    ] = "random",
    html: Annotated[Path | None, typer.Option(help="Write a report with plots, which needs no network, here.")] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Say how a ruleset would have ranked past leads: who converted, how sure that is, and what your team would get.

    Reads the log alone and changes nothing.
    """
    ruleset = read_ruleset_text(file.read(), file.name)
    if not ruleset.goal_bit:
        raise CommandError(f"{file.name} names no goal: there is nothing to hold it against")
    length = _window(window)
    if html is not None and not html.parent.is_dir():
        raise CommandError(f"the report cannot be written: {html.parent} is no folder")
    other = None
    if against is not None:
        other = _read_active(target_of_project(stage)) if against == ACTIVE else read_ruleset_path(against)
    if events:
        sample, tested = _sample_files(events, ruleset, other, length, moment)
    else:
        sample, tested = _sample_log(target_of_project(stage), ruleset, other, length, moment)
    found = run_backtest(
        scored_weeks(sample),
        Subject(Path(file.name).name, ruleset.version, ruleset.tiers),
        None if other is None or against is None else Subject(Path(against).name, other.version, other.tiers),
        window=length,
        per_week=per_week,
        late=sample.late,
    )
    if html is not None:
        _write_page(html, found, tested)
    if as_json:
        out.print_json(json.dumps({"sample": tested.to_dict(), **found.to_dict()}))
    else:
        print_backtest(found, tested)


def scored_weeks(sample: Sample) -> dict[int, list[PairCount]]:
    """Return the sample's pairs of scores by week; of a sample with one ruleset, its score twice."""
    if sample.key.against:
        return {
            week: [PairCount(*both, *counts) for both, counts in sorted(pairs.items())]
            for week, pairs in sample.pairs.items()
            if pairs
        }
    return {
        week: [PairCount(score, score, *counts) for score, counts in sorted(totals.items())]
        for week, totals in sample.totals.items()
        if totals
    }


def print_backtest(found: Backtest, tested: PastLeads) -> None:
    """Show a backtest on the terminal."""
    out.print(Text(found.verdict, style="bold"))
    for sentence in backtest_tables.team_in_words(found):
        out.print(Text(sentence))
    for warning in found.warnings:
        out.print(Text.assemble(("! ", "yellow"), warning))
    for sentence in tested.in_words(found):
        out.print(Text(sentence, style="dim"))
    shown = [backtest_tables.overview(found)]
    if found.whole is not None:
        shown += [
            backtest_tables.tier_tables(found),
            backtest_tables.best_leads(found),
            backtest_tables.reliability_table(found),
            backtest_tables.over_time(found),
        ]
    for table in shown:
        out.print()
        out.print(_rich_table(table))
        if table.note:
            out.print(Text(table.note, style="dim"))


def _rich_table(table: FigureTable) -> Table:
    drawn = Table(title=escape(table.title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, heading in enumerate(table.headings):
        drawn.add_column(escape(heading), justify="left" if place < table.words else "right", header_style="dim")
    for row in table.rows:
        drawn.add_row(*(escape(text) for text in row))
    return drawn


def _window(text: str) -> Millis:
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise CommandError(f"--window {text!r}: {problem}") from problem


def _read_active(target: Target) -> Ruleset:
    try:
        with target.ssm() as client:
            return read_ruleset(client, target.deployment.ruleset_parameter)
    except (InvalidRuleset, TornRulesetError, ClientError, BotoCoreError) as problem:
        raise CommandError(f"the ruleset of the stage cannot be read: {problem}") from problem


def _sample_log(
    target: Target, ruleset: Ruleset, other: Ruleset | None, window: Millis, moment: Literal["random", "qualified"]
) -> tuple[Sample, PastLeads]:
    now = from_datetime(datetime.now(UTC))
    sample = take_sample(target, Sampling(ruleset, now, window, moment=moment, against=other))
    return sample, _tested(f"the log of the stage {target.deployment.stage}", sample)


def _sample_files(
    paths: Sequence[str],
    ruleset: Ruleset,
    other: Ruleset | None,
    window: Millis,
    moment: Literal["random", "qualified"],
) -> tuple[Sample, PastLeads]:
    now = from_datetime(datetime.now(UTC))
    report(f"reading {', '.join(paths)}")
    histories = read_event_histories(paths, ruleset.identity, now)
    # What came after the newest event is not known: no label can reach beyond it.
    sampler = Sampler(Sampling(ruleset, min(now, histories.newest), window, moment=moment, against=other))
    report(f"scoring {len(histories):,} leads as of then")
    for history in histories:
        sampler.add(history)
    sample = sampler.sample()
    return sample, _tested(", ".join(paths), sample, histories.rejected.total())


def _tested(source: str, sample: Sample, rejected: int = 0) -> PastLeads:
    omitted: dict[str, int] = {str(reason): count for reason, count in sample.omitted.items()}
    if sample.key.against:
        # The rulesets are compared on the same leads, so what one of them has no score for is left out of both.
        omitted["disqualified by the other ruleset"] = _leads(sample.totals) - _leads(sample.pairs)
    return PastLeads(
        source=source,
        taken_at=format_instant(sample.key.now),
        moment=sample.key.moment,
        events=sample.events,
        leads=sample.leads,
        omitted=omitted,
        rejected=rejected,
    )


def _leads[K](weeks: Mapping[int, Mapping[K, Counts]]) -> int:
    return sum(counts.leads for scores in weeks.values() for counts in scores.values())


def _write_page(path: Path, found: Backtest, tested: PastLeads) -> None:
    from leadscore_cli.backtest_report import report_page  # plots take seconds to load

    try:
        path.write_text(report_page(found, tested), encoding="utf-8")
    except OSError as problem:
        raise CommandError(f"the report cannot be written: {problem}") from problem
    report(f"the report is in {path}")
