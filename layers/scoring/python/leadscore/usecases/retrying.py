"""Deciding again after someone else was first: a bounded number of times, each after a longer pause.

Invariant: whoever runs out of attempts has written nothing, and says so by ContentionError: the message goes back to
the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

ATTEMPTS = 8

# Waits before the n-th attempt, the first retry being 1.
Pause = Callable[[int], None]


class ContentionError(Exception):
    """Others wrote first on every attempt."""


def attempts(pause: Pause, what: str) -> Iterator[int]:
    """Yield the attempts' numbers from 0, pausing between them; raises ContentionError when there are no more."""
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(attempt)
        yield attempt
    raise ContentionError(f"{what} was written by others on each of {ATTEMPTS} attempts")
