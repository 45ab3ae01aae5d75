"""A run over the segments of the log: parts in any number, one conclusion, and the bus told the same when repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.instants import DAY, format_instant, from_datetime
from leadscore.core.signals import Signal, detail_text, name_of
from leadscore.learning.calibration import DatedCalibration
from leadscore.usecases import learning
from leadscore.usecases.histories import History, HistoryPage
from leadscore.usecases.learning import (
    IncompleteRunError,
    SampledSegment,
    UnreadableResultError,
    conclude_run,
    take_samples,
)
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from tests.unit.test_signals import check

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
RETENTION = 4000 * DAY
RULES = parse_ruleset(sample_ruleset())
OTHER = parse_ruleset(sample_ruleset({"webinar": 6}))


@cache
def histories() -> tuple[History, ...]:
    events: dict[str, list[dict[str, object]]] = {}
    for event in SampleCompany(400, UNTIL, base_rate=0.25).events():
        events.setdefault(f"user:{event['userId']}", []).append(event)
    return tuple(History(lead, said, [], None) for lead, said in events.items())


@dataclass
class Log:
    """A log of which each page tells of ten leads, dealt to the segments in turn."""

    def read(self, segment: int, segments: int, after: str | None, most: int) -> HistoryPage:
        mine = histories()[segment::segments]
        start = int(after or 0)
        end = start + 10
        return HistoryPage(mine[start:end], most // 10, str(end) if end < len(mine) else None)


@dataclass
class Store:
    """What is kept, as JSON; `left` are the replacements that are made before the store fails."""

    samples: dict[tuple[str, int, int], str] = field(default_factory=dict)
    current: str | None = None
    calibration: DatedCalibration | None = None
    replaced: int = 0
    torn: bool = False

    def save_sample(self, run: str, segment: int, call: int, sample: Any, now: int) -> None:
        assert now == from_datetime(UNTIL)
        self.samples[run, segment, call] = json.dumps(sample)

    def load_sample(self, run: str, segment: int, call: int) -> dict[str, Any] | None:
        text = self.samples.get((run, segment, call))
        return None if text is None else dict(json.loads(text))

    def load(self) -> dict[str, Any] | None:
        if self.torn:
            raise UnreadableResultError
        return None if self.current is None else dict(json.loads(self.current))

    def replace(self, run: str, began: int, result: Any, calibration: DatedCalibration | None) -> None:
        assert (result["run"], began) == (run, from_datetime(UNTIL))
        self.torn = False
        self.current, self.calibration = json.dumps(result), calibration
        self.replaced += 1


@dataclass
class Bus:
    """A bus that keeps what it takes, or is gone."""

    told: list[Signal] = field(default_factory=list)
    gone: bool = False

    def put(self, signal: Signal) -> None:
        if self.gone:
            raise ConnectionError
        self.told.append(signal)


def clock_that_rings_after(pages: int) -> Iterator[bool]:
    while True:
        yield from [False] * (pages - 1)
        yield True


def sample_all(
    store: Store, segments: int = 1, pages: int = 1_000_000, run: str = "run", rules: Ruleset = RULES
) -> list[SampledSegment]:
    """Take the samples of a run, each call reading so many pages, and return its segments as they ended."""
    ended = []
    for number in range(segments):
        segment = SampledSegment(run, from_datetime(UNTIL), number, segments)
        rings = clock_that_rings_after(pages)
        while not segment.done:
            segment = take_samples(Log(), store, rules, segment, rings.__next__, RETENTION)
            segment = SampledSegment.from_dict(json.loads(json.dumps(segment.to_dict())))
        ended.append(segment)
    return ended


def run_all(store: Store, bus: Bus, segments: int = 1, pages: int = 1_000_000, run: str = "run") -> dict[str, Any]:
    return conclude_run(store, bus, RULES, sample_all(store, segments, pages, run), RETENTION)


def shifted(insights: dict[str, Any]) -> str:
    """Return insights of an earlier run in which every tier usually converted at nearly 100 %."""
    tiers = [{**one, "usual_rate": {"value": 0.99, "low": 0.98, "high": 1.0}} for one in insights["tiers"]]
    return json.dumps({**insights, "run": "earlier", "tiers": tiers})


@pytest.mark.parametrize(("segments", "pages"), [(1, 3), (3, 1), (40, 1_000_000)])
def test_however_the_log_is_cut_the_insights_are_the_same(segments: int, pages: int) -> None:
    whole, parts = Store(), Store()
    wanted = run_all(whole, Bus())
    assert run_all(parts, Bus(), segments, pages) == wanted == parts.load()
    assert parts.calibration == whole.calibration
    assert whole.calibration is not None
    assert wanted["leads"] > 300
    assert wanted["conversions"] > 25
    assert len(whole.samples) == 1 < len(parts.samples)


def test_a_segment_tells_how_far_it_has_come() -> None:
    [ended] = sample_all(Store(), pages=15)
    assert (ended.call, ended.items, ended.leads, ended.done) == (3, 4000, 400, True)
    assert ended.to_dict()["at"] == format_instant(from_datetime(UNTIL))


def test_many_parts_are_merged_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = run_all(Store(), Bus())
    monkeypatch.setattr(learning, "_MERGED_AT_ONCE", 2)
    assert run_all(Store(), Bus(), segments=3, pages=3) == wanted


def test_moved_rates_are_on_the_bus_once_readers_get_the_insights() -> None:
    store, bus = Store(), Bus()
    store.current = shifted(run_all(Store(), Bus(), run="first"))
    found = run_all(store, bus)
    assert store.load() == found
    assert [name_of(signal) for signal in bus.told] == ["TierRateMoved"] * len(bus.told)
    details = [check("TierRateMoved", detail_text(signal)) for signal in bus.told]
    judged = [one for one in found["tiers"] if one["newest"]["leads"] >= 30]
    assert judged
    assert [detail["tier"] for detail in details] == [one["tier"] for one in judged]
    for detail, one in zip(details, judged, strict=True):
        assert detail["previous_rate"] == {"value": 0.99, "low": 0.98, "high": 1.0}
        assert detail["rate"] == one["newest"]["rate"]
        assert detail["ruleset"] == RULES.version
    assert len({detail["id"] for detail in details}) == len(details)


def test_a_conclusion_that_the_bus_did_not_take_is_drawn_again_with_the_same_ids() -> None:
    store, bus, again = Store(), Bus(gone=True), Bus()
    store.current = shifted(run_all(Store(), Bus(), run="first"))
    segments = sample_all(store)
    with pytest.raises(ConnectionError):
        conclude_run(store, bus, RULES, segments, RETENTION)
    stored = store.load()
    found = conclude_run(store, again, RULES, segments, RETENTION)
    assert found == stored
    assert store.replaced == 1
    assert again.told
    twice = Bus()
    conclude_run(store, twice, RULES, segments, RETENTION)
    assert [detail_text(signal) for signal in twice.told] == [detail_text(signal) for signal in again.told]
    # What is announced of the next run is another's.
    bus = Bus()
    store.current = shifted(found)
    conclude_run(store, bus, RULES, sample_all(store, run="next"), RETENTION)
    assert {signal.id for signal in bus.told}.isdisjoint({signal.id for signal in again.told})


def test_insights_that_cannot_be_read_are_replaced_by_the_next_run() -> None:
    store, bus = Store(torn=True), Bus()
    found = run_all(store, bus)
    assert found == store.load() == run_all(Store(), Bus())
    assert bus.told == []


def test_samples_under_two_rulesets_are_not_concluded() -> None:
    store = Store()
    segments = sample_all(store, 2)
    sample_all(store, rules=OTHER)
    with pytest.raises(IncompleteRunError, match="ruleset was changed"):
        conclude_run(store, Bus(), RULES, segments, RETENTION)
    with pytest.raises(IncompleteRunError, match="ruleset was changed"):
        conclude_run(Store(samples=store.samples), Bus(), OTHER, segments, RETENTION)
    assert store.load() is None


def test_a_run_of_which_a_sample_is_gone_is_not_concluded() -> None:
    store = Store()
    segments = sample_all(store, 2, pages=7)
    del store.samples["run", 1, 1]
    with pytest.raises(IncompleteRunError, match="call 1 of segment 1"):
        conclude_run(store, Bus(), RULES, segments, RETENTION)


def test_without_a_goal_nothing_is_read_and_readers_are_told_why() -> None:
    document = {name: value for name, value in sample_ruleset().items() if name != "goal"}
    aimless, store = parse_ruleset(document), Store()
    begun = SampledSegment("run", from_datetime(UNTIL), 0, 1)
    ended = take_samples(Log(), store, aimless, begun, lambda: False, RETENTION)
    assert ended == replace(begun, done=True)
    found = conclude_run(store, Bus(), aimless, [ended], RETENTION)
    assert found["warnings"] == ["the ruleset names no goal: there is nothing to learn from"]


def test_a_call_reads_until_its_time_is_over_and_no_further() -> None:
    begun = SampledSegment("run", from_datetime(UNTIL), 0, 1)
    looks: Sequence[bool] = (False, False, True)
    rings = iter(looks)
    paused = take_samples(Log(), Store(), RULES, begun, rings.__next__, RETENTION)
    assert (paused.after, paused.leads, paused.call, paused.done) == ("30", 30, 1, False)
