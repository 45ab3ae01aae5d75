"""A score as people read it: one line per criterion, the points first, then why.

    +15.0  pricing-page  (engagement)  seen 2 days ago
     +3.8  webinar       (engagement)  2 of up to 3, last 30 days ago; decayed from +10.0; 1.2 cut by its own cap
      -    trial         (engagement)  not seen, worth +20

Invariant: the lines say what the score says, rounded to one decimal for the eye alone. The ids that they show come
from the ruleset, so that no personal data is in them.
"""

from __future__ import annotations

from leadscore.core.instants import DAY, Millis, from_datetime
from leadscore.core.missing import Missed
from leadscore.core.ruleset import Criterion
from leadscore.core.scoring import Factor, Score

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
# From how long an age is told in which unit: two days are "48 hours" to nobody, sixty days are "2 months" to some.
_AGE_UNITS = ((730 * DAY, 365 * DAY, "year"), (60 * DAY, 30 * DAY, "month"), (2 * DAY, DAY, "day"))
_SMALLER_UNITS = ((_HOUR, _HOUR, "hour"), (_MINUTE, _MINUTE, "minute"))


def explain_score(score: Score) -> list[str]:
    """Return the lines of a score: what counts, what disqualifies, what does not count; each in ruleset order."""
    at = from_datetime(score.at)
    rows = [_factor_row(factor, at) for factor in score.factors]
    rows += [("gate", name, "", "disqualifies the lead") for name in score.disqualified_by]
    rows += [_missed_row(missed, at) for missed in score.missed]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join((points.rjust(widths[0]), name.ljust(widths[1]), group.ljust(widths[2]), reason))
        for points, name, group, reason in rows
    ]


def explain_factor(factor: Factor, at: Millis) -> str:
    """Return one line on a criterion that counts, its ages as of `at`."""
    return "  ".join(_factor_row(factor, at))


def explain_missed(missed: Missed, at: Millis) -> str:
    """Return one line on a criterion that does not count, its ages as of `at`."""
    return "  ".join(_missed_row(missed, at))


def tell_age(age: Millis) -> str:
    """Return how long ago something was: `just now`, `5 minutes ago`, `2 days ago`, `3 months ago`."""
    told = _tell_length(age, (*_AGE_UNITS, *_SMALLER_UNITS))
    return "just now" if told is None else f"{told} ago"


def _factor_row(factor: Factor, at: Millis) -> tuple[str, str, str, str]:
    return f"{factor.points:+.1f}", factor.criterion, f"({factor.group})", _why(factor, at)


def _missed_row(missed: Missed, at: Millis) -> tuple[str, str, str, str]:
    return "-", missed.criterion, f"({missed.group})", _why_not(missed, at)


def _why(factor: Factor, at: Millis) -> str:
    parts = [_basis(factor, at)]
    if factor.decayed != factor.raw:
        parts.append(f"decayed from {factor.raw:+.1f}")
    cuts = (
        (factor.cuts.criterion, "its own cap"),
        (factor.cuts.group, f"the cap of {factor.group}"),
        (factor.cuts.total, "the cap of the total"),
    )
    parts += [f"{_tell_amount(abs(amount))} cut by {cap}" for amount, cap in cuts if amount != 0]
    return "; ".join(parts)


def _basis(factor: Factor, at: Millis) -> str:
    """Return what the points rest on: traits, or events and the age of the last."""
    criterion = factor.definition
    if not factor.occurrences:
        return "traits match"
    last = tell_age(at - factor.occurrences[-1].time)
    if criterion.at_least is not None:
        basis = f"at least {criterion.at_least:g} {_tell_measure(criterion)}, last {last}"
    elif criterion.limit > 1:
        basis = f"{len(factor.occurrences)} of up to {criterion.limit}, last {last}"
    else:
        basis = f"seen {last}"
    return basis if criterion.traits is None else f"{basis}, traits match"


def _why_not(missed: Missed, at: Millis) -> str:
    return f"{_lack(missed, at)}, worth {missed.points:+d}"


def _lack(missed: Missed, at: Millis) -> str:
    criterion = missed.definition
    last = "" if missed.newest is None else f"last {tell_age(at - missed.newest)}"
    if missed.reason == "outside the window" and criterion.within is not None:
        window = _tell_length(criterion.within, tuple((size, size, name) for size, name in _WINDOW_UNITS))
        return f"outside the window of {window}, {last}"
    if missed.reason == "below at_least":
        return f"{missed.have:g} of at least {missed.at_least:g} {_tell_measure(criterion)}, {last}"
    if missed.reason == "unknown trait":
        return f"unknown trait {' and '.join(missed.unknown)}"
    if missed.reason == "decayed to nothing":
        return f"decayed to nothing, {last}"
    return missed.reason


_WINDOW_UNITS = ((DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (_SECOND, "second"))


def _tell_measure(criterion: Criterion) -> str:
    measure = criterion.measure
    if measure is None or measure.kind == "count":
        return "events"
    if measure.kind == "days":
        return "days"
    return f"{'different' if measure.kind == 'distinct' else 'in'} {'.'.join(measure.path)}"


def _tell_length(length: Millis, units: tuple[tuple[Millis, Millis, str], ...]) -> str | None:
    for least, size, name in units:
        if length >= least:
            number = length // size
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return None


def _tell_amount(amount: float) -> str:
    return f"{amount:.1f}" if amount >= 0.05 else "less than 0.1"
