"""Learning from history as it is deployed: segments of the table are sampled at once, and what all came to is kept.

    segments --> each: take_samples, call by call, until its end --> conclude_run --> what readers get, and the bus

Invariants: all segments of a run see the log as of the instant at which the run began, under one ruleset; and what a
rate's move is told by is in the stored result, so that a conclusion that is made again tells the same and no more.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Any, Protocol, Self

from leadscore.core.instants import Millis, format_instant, parse_instant
from leadscore.core.signals import TierRateMoved
from leadscore.learning.concluding import conclude
from leadscore.learning.samples import ScoreRule
from leadscore.learning.sampling import Sample, Sampler, Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from leadscore.core.ruleset import Ruleset
    from leadscore.core.signals import Signal
    from leadscore.learning.calibration import DatedCalibration
    from leadscore.usecases.histories import HistoryReader

_PAGE_ITEMS = 1000
_MERGED_AT_ONCE = 16


class IncompleteRunError(RuntimeError):
    """What the segments of a run took does not make one sample; a new run does."""


class UnreadableResultError(RuntimeError):
    """The result that readers are to get is not all there."""


class InsightsStore(Protocol):
    """Where samples wait for the end of their run, and what readers get."""

    def save_sample(self, run: str, segment: int, call: int, sample: Mapping[str, object], now: Millis) -> None:
        """Keep what one call took, in place of what it took before."""

    def load_sample(self, run: str, segment: int, call: int) -> dict[str, Any] | None:
        """Return what one call took, None where it is not there."""

    def load(self) -> dict[str, Any] | None:
        """Return the insights that readers get, None before the first; raises UnreadableResultError."""

    def replace(
        self, run: str, began: Millis, result: Mapping[str, object], calibration: DatedCalibration | None
    ) -> None:
        """Make this what readers get, of a run that began then."""


class Bus(Protocol):
    """Where machines are told."""

    def put(self, signal: Signal) -> None:
        """Put a signal on the bus."""


@dataclass(frozen=True, slots=True)
class SampledSegment:
    """One segment of the table in a run, which began `at`, as far as it has come: behind `after`, by `call` calls."""

    run: str
    at: Millis
    segment: int
    segments: int
    after: str | None = None
    call: int = 0
    items: int = 0
    leads: int = 0
    done: bool = False

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the segment that `to_dict` wrote, or that a run begins with."""
        return cls(**{**document, "at": parse_instant(document["at"])})

    def to_dict(self) -> dict[str, object]:
        """Return the segment as plain JSON types."""
        return {**asdict(self), "at": format_instant(self.at)}


def take_samples(
    reader: HistoryReader,
    store: InsightsStore,
    ruleset: Ruleset,
    segment: SampledSegment,
    is_over: Callable[[], bool],
    retention: Millis,
) -> SampledSegment:
    """Sample a segment from where it stands until its end or until time is over, and keep what was taken.

    `retention` is for how long the log keeps an event.
    """
    if ruleset.goal is None:
        return replace(segment, done=True)
    sampler = Sampler(_sampling(ruleset, segment, retention))
    after, items, leads = segment.after, segment.items, segment.leads
    while True:
        page = reader.read(segment.segment, segment.segments, after, _PAGE_ITEMS)
        for history in page.histories:
            sampler.add(history)
        after, items, leads = page.after, items + page.items, leads + len(page.histories)
        if after is None or is_over():
            break
    store.save_sample(segment.run, segment.segment, segment.call, sampler.sample().to_dict(), segment.at)
    return replace(segment, after=after, call=segment.call + 1, items=items, leads=leads, done=after is None)


def conclude_run(
    store: InsightsStore, bus: Bus, ruleset: Ruleset, segments: Sequence[SampledSegment], retention: Millis
) -> dict[str, Any]:
    """Return the insights that a run's segments come to, once readers get them and the bus was told what has moved.

    Insights before that cannot be read count as none: this run's take their place, and rates are usual anew. Raises
    IncompleteRunError where a sample is missing, or was taken under another ruleset than is published now.
    """
    run = segments[0].run
    try:
        before = store.load()
    except UnreadableResultError:
        before = None
    if before is not None and before["run"] == run:
        insights = before
    else:
        sample = _merge(store, ruleset, segments, retention)
        conclusion = conclude(sample, ruleset, run=run, before=before)
        insights = conclusion.insights
        store.replace(run, segments[0].at, insights, conclusion.calibration)
    for signal in moved_rates(insights):
        bus.put(signal)
    return insights


def moved_rates(insights: Mapping[str, Any]) -> list[TierRateMoved]:
    """Return a signal for each tier whose newest leads convert at another rate than was usual; always the same ones."""
    return [
        TierRateMoved(
            id=hashlib.sha256(f"{insights['run']}\n{tier['tier']}".encode()).hexdigest()[:24],
            at=insights["at"],
            tier=tier["tier"],
            leads=tier["newest"]["leads"],
            conversions=tier["newest"]["conversions"],
            rate=tier["newest"]["rate"],
            previous_rate=tier["moved_from"],
            ruleset=insights["ruleset"],
        )
        for tier in insights["tiers"]
        if tier["moved_from"] is not None
    ]


def _sampling(ruleset: Ruleset, segment: SampledSegment, retention: Millis) -> Sampling:
    return Sampling(ruleset, now=segment.at, horizon=segment.at - retention)


def _merge(store: InsightsStore, ruleset: Ruleset, segments: Sequence[SampledSegment], retention: Millis) -> Sample:
    sampling = _sampling(ruleset, segments[0], retention)
    if ruleset.goal is None:
        return Sample(sampling.key, ScoreRule.of(ruleset).criteria)
    merged = Sampler(sampling).sample()
    for parts in batched(_parts(store, segments), _MERGED_AT_ONCE, strict=False):
        if any(part.key != sampling.key for part in parts):
            raise IncompleteRunError("the ruleset was changed while the run was under way")
        merged = merged.merge(*parts)
    return merged


def _parts(store: InsightsStore, segments: Sequence[SampledSegment]) -> Iterator[Sample]:
    for segment in segments:
        for call in range(segment.call):
            taken = store.load_sample(segment.run, segment.segment, call)
            if taken is None:
                raise IncompleteRunError(f"the sample of call {call} of segment {segment.segment} is missing")
            yield Sample.from_dict(taken)
