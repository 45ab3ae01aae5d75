"""Interleaved measurement: every engine takes its turn in every round, so that a slow minute hits all alike.

Processor time of this one process on one core; figures are medians over the slices, ratios are of medians.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import Any

_LONGEST_SLICE_SECONDS = 0.04


@dataclass
class Contestant:
    """One thing to time: `take` works on one item of `items`; `micros` are its times per item, one per slice."""

    name: str
    take: Callable[[Any], object]
    items: Sequence[Any]
    slice_size: int = 1
    micros: list[float] = field(default_factory=list)

    @property
    def median_micros(self) -> float:
        return median(self.micros)


def stay_on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run_rounds(contestants: Sequence[Contestant], rounds: int, slice_size: int) -> None:
    """Time all contestants, `rounds` slices each; slow ones take fewer items per slice."""
    for one in contestants:
        one.slice_size = _fit_slice(one, slice_size)
    gc.collect()
    # What stays for the whole run (events, matchers) is nobody's garbage to look through.
    gc.freeze()
    for round_number in range(rounds):
        gc.collect()
        for one in contestants:
            start = round_number * slice_size % len(one.items)
            one.micros.append(_time_slice(one, start))
    gc.unfreeze()


def _fit_slice(one: Contestant, slice_size: int) -> int:
    """Return how many items fit a slice; this is also the warm-up, over all items where that is quick."""
    seconds_each = _time_slice(one, 0) / 1e6
    warm = min(len(one.items), int(_LONGEST_SLICE_SECONDS / max(seconds_each, 1e-7)))
    for item in one.items[:warm]:
        one.take(item)
    return max(1, min(slice_size, int(_LONGEST_SLICE_SECONDS / max(seconds_each, 1e-7))))


def _time_slice(one: Contestant, start: int) -> float:
    take = one.take
    items = one.items[start : start + one.slice_size]
    begin = process_time()
    for item in items:
        take(item)
    return (process_time() - begin) / len(items) * 1e6
