"""Why a criterion does not count, and how much of the fit model had traits to judge by.

Invariant: every criterion worth points either is a factor or is here, with exactly one reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from leadscore.core.instants import Millis, format_instant
from leadscore.core.ledger import Worth
from leadscore.core.occurrences import Kept, counting, inside_window, measured
from leadscore.core.patterns import Pattern
from leadscore.core.ruleset import ACCOUNT, Criterion, Ruleset

Reason = Literal[
    "not seen", "outside the window", "below at_least", "unknown trait", "trait does not match", "decayed to nothing"
]


class Missed(NamedTuple):
    """A criterion that does not count, and why.

    `kept` is how many occurrences are remembered and `newest` the time of the last; `have` of `at_least` is what the
    measure comes to; `unknown` names the traits that were never seen.
    """

    criterion: str
    group: str
    points: int
    reason: Reason
    definition: Criterion
    kept: int = 0
    newest: Millis | None = None
    have: float | None = None
    at_least: float | None = None
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the criterion and its reason as plain JSON types, without what does not apply."""
        document: dict[str, object] = {
            "criterion": self.criterion,
            "group": self.group,
            "points": self.points,
            "reason": self.reason,
        }
        if self.newest is not None:
            document |= {"kept": self.kept, "newest": format_instant(self.newest)}
        if self.at_least is not None:
            document |= {"have": self.have, "at_least": self.at_least}
        if self.unknown:
            document["unknown"] = list(self.unknown)
        return document


def find_missed(
    ruleset: Ruleset,
    kept: Mapping[str, Kept],
    view: Mapping[str, object],
    worths: Iterable[Worth],
    at: Millis,
) -> tuple[Missed, ...]:
    """Return the criteria worth points that add nothing at `at`, in ruleset order, each with its reason."""
    adding = {worth.criterion.id: worth.decayed_at(at) != 0 for worth in worths}
    missed = []
    for criterion in ruleset.criteria:
        if criterion.disqualify or adding.get(criterion.id):
            continue
        occurrences = kept.get(criterion.id, ())
        if criterion.id in adding:
            missed.append(_missed(criterion, "decayed to nothing", occurrences))
        elif criterion.event is not None and not counting(criterion, occurrences, at):
            missed.append(_judge_occurrences(criterion, occurrences, at))
        elif criterion.traits is not None:
            missed.append(_judge_traits(criterion, criterion.traits, occurrences, view))
    return tuple(missed)


def measure_coverage(ruleset: Ruleset, view: Mapping[str, object]) -> float:
    """Return which share of the points of the fit criteria on traits can be judged.

    A criterion can be where all the fields that it reads are there, and where it matches without some of them.
    """
    known = total = 0
    matching = ruleset.trait_matcher.match_bits(view)
    for place, criterion in enumerate(ruleset.characteristics):
        if criterion.group != "fit" or criterion.traits is None:
            continue
        total += abs(criterion.points)
        if matching >> place & 1 or all(_has_leaf(view, path) for path in criterion.traits.paths):
            known += abs(criterion.points)
    return known / total if total else 1.0


def _judge_occurrences(criterion: Criterion, kept: Kept, at: Millis) -> Missed:
    inside = inside_window(criterion, kept, at)
    if not kept:
        return _missed(criterion, "not seen", kept)
    if not inside or criterion.at_least is None:
        return _missed(criterion, "outside the window", kept)
    return _missed(criterion, "below at_least", kept, have=measured(criterion, inside))


def _judge_traits(criterion: Criterion, pattern: Pattern, kept: Kept, view: Mapping[str, object]) -> Missed:
    """Return what the traits part is short of; a field that is read in two ways is named once."""
    read = dict.fromkeys(path[:2] if path[0] == ACCOUNT else path[:1] for path in pattern.paths)
    unknown = tuple(".".join(path) for path in read if not _is_known(view, path))
    return _missed(criterion, "unknown trait" if unknown else "trait does not match", kept, unknown=unknown)


def _missed(
    criterion: Criterion,
    reason: Reason,
    kept: Kept,
    *,
    have: float | None = None,
    unknown: tuple[str, ...] = (),
) -> Missed:
    return Missed(
        criterion=criterion.id,
        group=criterion.group,
        points=criterion.points,
        reason=reason,
        kept=len(kept),
        newest=kept[-1].time if kept else None,
        have=have,
        at_least=None if have is None else criterion.at_least,
        unknown=unknown,
        definition=criterion,
    )


def _is_known(view: Mapping[str, object], path: tuple[str, ...]) -> bool:
    value: object = view
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _has_leaf(value: object, path: tuple[str, ...]) -> bool:
    """Return whether a scalar is at `path`, where of an array any element will do."""
    if isinstance(value, list):
        return any(_has_leaf(element, path) for element in value)
    if isinstance(value, Mapping):
        return bool(path) and path[0] in value and _has_leaf(value[path[0]], path[1:])
    return not path
