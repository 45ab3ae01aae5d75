"""`leadscore criteria suggest`: points that past conversions would have wanted, and only if later leads confirm them.

ruleset --> sample of the stage's log, or of files of events --> fit, gate, report --> Suggestion --> terminal, new file

Invariant: what is written is the ruleset that was given with the points and tier cuts that were shown, and with
nothing else changed; where nothing is shown, nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadscore import InvalidRuleset, Ruleset
from leadscore.adapters.rulesets import open_value
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_duration
from leadscore.learning.gating import Slices, suggest
from leadscore.learning.half_lives import FACTORS, suggest_half_lives
from leadscore.learning.samples import ScoreRule
from leadscore.learning.sampling import WEEK, Sampling, choose_sample_split
from leadscore.learning.suggested_tiers import suggest_tiers
from leadscore.learning.suggesting import Freedom
from leadscore.stored_ruleset import TornRulesetError
from leadscore_cli.event_histories import read_event_histories, sample_events
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.ruleset_edits import RulesetEditError, TierCut, edit_ruleset
from leadscore_cli.ruleset_files import read_ruleset_text
from leadscore_cli.suggestion_tables import print_suggestion, print_tiers
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadscore.learning.gating import Suggestion
    from leadscore.learning.half_lives import HalfLifeSuggestion, Pairs
    from leadscore.learning.samples import Slice, TimeSplit
    from leadscore.learning.sampling import Sample
    from leadscore.learning.suggested_tiers import SuggestedTiers
    from leadscore.learning.suggesting import Engine, Prior
    from leadscore_cli.event_histories import Advance

_STEPS = (1, 5)
_STDIN = "-"


class EngineOption(StrEnum):
    """How points are looked for."""

    CHANGES = "changes"
    START_OVER = "start-over"

    @property
    def engine(self) -> Engine:
        """What learning calls it."""
        return "changes" if self is EngineOption.CHANGES else "start over"


class PriorOption(StrEnum):
    """What "start over" draws points to."""

    NONE = "none"
    POINTS = "points"

    @property
    def prior(self) -> Prior:
        """What learning calls it."""
        return "none" if self is PriorOption.NONE else "points"


@dataclass(frozen=True, slots=True)
class _Given:
    """A ruleset as it was given: its text to the byte, and what people know it by."""

    name: str
    text: str
    ruleset: Ruleset


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is to tell, and the text to write; `unwritable` says why there is none although something is shown."""

    suggestion: Suggestion | None = None
    tiers: SuggestedTiers | None = None
    half_lives: HalfLifeSuggestion | None = None
    text: str | None = None
    unwritable: str = ""


def suggest_points(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[RULESET]", help="YAML or JSON; - for standard input; default: the stage's."),
    ] = None,
    engine: Annotated[
        EngineOption, typer.Option(help="changes: the fewest to your points; start-over: all points anew.")
    ] = EngineOption.CHANGES,
    prior: Annotated[
        PriorOption, typer.Option(help="With start-over: points stays near the points you have.")
    ] = PriorOption.NONE,
    lock: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A criterion that keeps its points; may be repeated.")
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A criterion that is known in time, though it looks as if it leaked."),
    ] = None,
    step: Annotated[int, typer.Option(help="Points are multiples of 1 or of 5.")] = 1,
    most: Annotated[
        int | None, typer.Option(min=1, max=1000, help="No criterion gets more points than this, either way.")
    ] = None,
    tiers: Annotated[bool, typer.Option("--tiers", help="Look for tier cuts, too.")] = False,
    per_week: Annotated[
        float | None, typer.Option(min=0.1, help="How many leads of the highest tier your team works in a week.")
    ] = None,
    half_lives: Annotated[
        bool, typer.Option("--half-lives", help="Look for one factor on all half-lives instead of for points.")
    ] = False,
    window: Annotated[str, typer.Option(help="How long after it was scored a conversion counts for a lead.")] = "30d",
    events: Annotated[
        list[str] | None,
        typer.Option(help="Take leads from files or folders of events, as `leadscore import` takes them; no stage."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the ruleset with what is shown to this file.")
    ] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Suggest points that past conversions would have wanted, if later leads confirm that they are better.

    Learns from the first 60 % of past leads, decides by the next 20 %, and tells what the last 20 % say. Reads the log
    alone and changes nothing but the file that --output names.
    """
    if per_week is not None and not tiers:
        raise CommandError("--per-week goes with --tiers")
    if half_lives and (tiers or lock or trust or most is not None):
        raise CommandError("--half-lives changes no points: --tiers, --lock, --trust and --most go without it")
    target = None if events else target_of_project(stage)
    given = _read_given(file, target)
    freedom = _freedom(given.ruleset, lock or (), step, most)
    _must_be_known(given.ruleset, "--trust", trust or ())
    sampling = Sampling(given.ruleset, from_datetime(datetime.now(UTC)), _window(window), half_lives=half_lives)
    sample, left_out = _sample_files(events, sampling) if target is None else (_sample_log(target, sampling), 0)
    if not sample.weeks:
        raise CommandError(f"no lead to learn from: {_omitted(sample)}")
    split = choose_sample_split(sample)
    if half_lives:
        found = _find_half_lives(given, sample, split)
    else:
        slices, rule = Slices(**sample.sliced(split)), ScoreRule.of(given.ruleset)
        suggestion = suggest(slices, rule, engine.engine, freedom, prior.prior, sample.late, trust or ())
        changed = suggestion.rule if suggestion.shown else rule
        cuts = _find_tiers(given, sample, split, changed, per_week) if tiers else None
        found = _edited(given, suggestion, cuts)
    _hand_out(given, sample, found, left_out, output, as_json=as_json)


def _find_tiers(
    given: _Given, sample: Sample, split: TimeSplit, rule: ScoreRule, per_week: float | None
) -> SuggestedTiers:
    weeks = [_weeks(sample, split, name) for name in ("gate", "report")]
    gate, report_ = [max(one) - min(one) + 1 if one else 1 for one in weeks]
    slices = Slices(**sample.sliced(split))
    return suggest_tiers(slices, rule, given.ruleset.tiers, gate_weeks=gate, report_weeks=report_, per_week=per_week)


def _find_half_lives(given: _Given, sample: Sample, split: TimeSplit) -> _Found:
    def paced(name: Slice) -> dict[str, list[Pairs]]:
        weeks = _weeks(sample, split, name)
        return {factor: [pairs[week] for week in weeks if week in pairs] for factor, pairs in sample.paced.items()}

    conversions = sum(grouped.conversions for grouped in sample.weeks.values())
    found = suggest_half_lives(given.ruleset, conversions, paced("gate"), paced("report"))
    if not found.shown or found.factor is None:
        return _Found(half_lives=found)
    try:
        return _Found(half_lives=found, text=edit_ruleset(given.text, {}, half_lives=FACTORS[found.factor]))
    except RulesetEditError as problem:
        return _Found(half_lives=found, unwritable=str(problem))


def _edited(given: _Given, suggestion: Suggestion, tiers: SuggestedTiers | None) -> _Found:
    cuts = [] if tiers is None or not tiers.shown else [TierCut(*cut) for cut in tiers.cuts.items()]
    if not suggestion.points and not cuts:
        return _Found(suggestion, tiers)
    try:
        return _Found(suggestion, tiers, text=edit_ruleset(given.text, suggestion.points, cuts))
    except RulesetEditError as problem:
        hint = "; --tiers looks for cuts that go with the points" if tiers is None and "tiers[" in str(problem) else ""
        return _Found(suggestion, tiers, unwritable=f"{problem}{hint}")


def _hand_out(
    given: _Given, sample: Sample, found: _Found, left_out: int, output: Path | None, *, as_json: bool
) -> None:
    """Write what is to be written, and tell of it; raises CommandError where that cannot be done."""
    if output is not None and found.text is not None:
        _write(output, found.text)
    if as_json:
        out.print_json(json.dumps(_to_json(given, sample, found, output)))
    else:
        _print_found(given, sample, found, left_out)
    if output is not None:
        if found.unwritable:
            raise CommandError(f"{output} is not written: {found.unwritable}")
        report(f"{output} has the ruleset with that" if found.text is not None else f"{output} is not written")


def _read_given(file: str | None, target: Target | None) -> _Given:
    if file is None:
        if target is None:
            raise CommandError("which ruleset? With --events it has to be named")
        name, text = f"the ruleset of the stage {target.deployment.stage}", _read_active(target)
    else:
        # As bytes: a text stream would change line ends.
        name = file
        try:
            text = (sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()).decode()
        except (OSError, UnicodeDecodeError) as problem:
            raise CommandError(f"{file} cannot be read: {problem}") from problem
    ruleset = read_ruleset_text(text, name)
    if not ruleset.goal_bit:
        raise CommandError(f"{name} names no goal: there is nothing to learn from")
    return _Given(name, text, ruleset)


def _read_active(target: Target) -> str:
    name = target.deployment.ruleset_parameter
    try:
        with target.ssm() as client:
            return open_value(client, name, client.get_parameter(Name=name)["Parameter"]["Value"])
    except (InvalidRuleset, TornRulesetError, ClientError, BotoCoreError) as problem:
        raise CommandError(f"the ruleset of the stage cannot be read: {problem}") from problem


def _freedom(ruleset: Ruleset, locked: Sequence[str], step: int, most: int | None) -> Freedom:
    if step not in _STEPS:
        raise CommandError(f"--step {step}: points come in steps of {' or '.join(map(str, _STEPS))}")
    if most is not None and most < step:
        raise CommandError(f"--most {most} is less than one step of {step}")
    _must_be_known(ruleset, "--lock", locked)
    return Freedom(frozenset(locked), step, most)


def _must_be_known(ruleset: Ruleset, option: str, names: Sequence[str]) -> None:
    known = {criterion.id for criterion in ruleset.criteria if not criterion.disqualify}
    for name in names:
        if name not in known:
            raise CommandError(f"{option} {name}: no criterion with points has that id")


def _window(text: str) -> Millis:
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise CommandError(f"--window {text!r}: {problem}") from problem


def _sample_log(target: Target, sampling: Sampling) -> Sample:
    from leadscore_cli.sampling_run import take_sample  # starts processes, which nothing else here needs

    return take_sample(target, sampling)


def _sample_files(paths: Sequence[str] | None, sampling: Sampling) -> tuple[Sample, int]:
    """Return the sample of files, and how many of their lines are no events."""
    with _bar("reading") as advance:
        histories = read_event_histories(paths or (), sampling.ruleset.identity, sampling.now, advance)
    # What came after the newest event is not known: no label can reach beyond it.
    known = replace(sampling, now=min(sampling.now, histories.newest))
    with _bar("scoring leads", len(histories)) as advance:
        return sample_events(histories, known, advance), histories.rejected.total()


@contextmanager
def _bar(what: str, total: int | None = None) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _weeks(sample: Sample, split: TimeSplit, name: Slice) -> list[int]:
    """Return the weeks whose leads a slice has."""
    inside = [week for week in sample.weeks if split.slice_of(week * WEEK) == name]
    return [week for week in inside if split.slice_of((week + 1) * WEEK - 1) == name]


def _write(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode())
    except OSError as problem:
        raise CommandError(f"{path} cannot be written: {problem}") from problem


def _to_json(given: _Given, sample: Sample, found: _Found, output: Path | None) -> Mapping[str, object]:
    return {
        "ruleset": given.ruleset.version,
        "sample": {
            "taken_at": format_instant(sample.key.now),
            "window_ms": sample.key.window,
            "events": sample.events,
            "leads": sample.leads,
            "omitted": dict(sample.omitted),
        },
        **({} if found.suggestion is None else {"points": found.suggestion.points, **found.suggestion.to_dict()}),
        "half_lives": None if found.half_lives is None else found.half_lives.to_dict(),
        "tiers": None if found.tiers is None else found.tiers.to_dict(),
        "unwritable": found.unwritable or None,
        "file": None if output is None or found.text is None else str(output),
    }


def _print_found(given: _Given, sample: Sample, found: _Found, left_out: int) -> None:
    if found.half_lives is not None:
        out.print(Text(found.half_lives.verdict, style="bold"), soft_wrap=True)
    if found.suggestion is not None:
        print_suggestion(found.suggestion)
    if found.tiers is not None:
        print_tiers(found.tiers)
    if found.unwritable:
        out.print(Text.assemble(("! ", "yellow"), found.unwritable), soft_wrap=True)
    out.print(Text(f"{given.ruleset.version}: {sample.events:,} events of {sample.leads:,} leads", style="dim"))
    if sample.omitted:
        out.print(Text(_omitted(sample), style="dim"))
    if left_out:
        out.print(Text(f"{left_out:,} lines are no events", style="dim"))


def _omitted(sample: Sample) -> str:
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(sample.omitted.items()))
    return f"left out: {told or 'none'}"
