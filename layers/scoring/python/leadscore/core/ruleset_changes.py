"""What differs between two rulesets, in the terms that people write them in: criteria, points, half-lives, tiers.

Read off the typed values and not the documents, so that what is written otherwise and means the same is no change.
Invariant: nothing is told exactly where the two score, alert and announce alike; every field of every part is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from leadscore.core.instants import Millis
from leadscore.core.patterns import Pattern
from leadscore.core.ruleset import Measure

if TYPE_CHECKING:
    from leadscore.core.ruleset import Criterion, Group, Ruleset

ChangeKind = Literal["added", "removed", "changed"]

_LONGEST_VALUE = 200
_CONTEXT = 40
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
# What is a length of time, and what a minute of the day; all else tells by its type what it is.
_LENGTHS = frozenset(("within", "half_life", "cooldown", "account_cooldown", "delay", "silent_for", "every"))
_MINUTES = frozenset(("start", "end", "at"))
# The fields whose name in a document is another.
_WRITTEN = {"hours.start": "hours.from", "hours.end": "hours.to", "from_": "from", "kind": "roll_up"}


class RulesetChange(NamedTuple):
    """One difference: of which part, in which field of it (empty for the part as a whole), from what to what."""

    kind: ChangeKind
    part: str
    field: str
    before: str
    after: str

    def tell(self) -> str:
        """Return the difference as one line: `criterion trial: points 20 -> 25`."""
        name = f"{self.field} " if self.field else ""
        if self.kind == "added":
            return f"{self.part}: {name}added{f', {self.after}' if self.after else ''}"
        if self.kind == "removed":
            return f"{self.part}: {name}removed{f', was {self.before}' if self.before else ''}"
        return f"{self.part}: {name}{self.before} -> {self.after}"

    def to_dict(self) -> dict[str, str]:
        """Return the difference as plain JSON types."""
        return {**self._asdict(), "text": self.tell()}


def find_changes(old: Ruleset, new: Ruleset) -> list[RulesetChange]:
    """Return all that the new ruleset says otherwise: criteria first, in its order, then groups, tiers and policies."""
    found = [*_criteria(old, new), *_groups(old, new), *_tiers(old, new)]
    for name in ("total_min", "total_max"):
        found += _field("total", name.removeprefix("total_"), getattr(old, name), getattr(new, name))
    found += _field("goal", "", old.goal, new.goal)
    for name in ("alerts", "identity", "accounts", "nurture", "digest"):
        found += _fields(name, getattr(old, name), getattr(new, name))
    found += _field("announce", "score_change", old.score_change, new.score_change)
    return found


def tell_length(length: Millis) -> str:
    """Return a duration as rulesets have it, in the largest unit that leaves no rest: `36h`."""
    size, unit = next((one for one in _UNITS if length % one[0] == 0), _UNITS[-1])
    return f"{length / size:g}{unit}"


def _criteria(old: Ruleset, new: Ruleset) -> Iterator[RulesetChange]:
    before = {criterion.id: criterion for criterion in old.criteria}
    after = {criterion.id: criterion for criterion in new.criteria}
    for name, criterion in after.items():
        part = f"criterion {name}"
        if name not in before:
            yield RulesetChange("added", part, "", "", _summary(criterion))
            continue
        known = before[name]
        for field in criterion._fields:
            if field == "half_life" and _follows_group(old, new, known, criterion):
                continue
            yield from _field(part, field, getattr(known, field), getattr(criterion, field))
    for name, criterion in before.items():
        if name not in after:
            yield RulesetChange("removed", f"criterion {name}", "", _summary(criterion), "")
    ordered = [name for name in before if name in after], [name for name in after if name in before]
    if ordered[0] != ordered[1]:
        moved = next(name for one, name in zip(*ordered, strict=True) if one != name)
        # It decides which of them a cap cuts first.
        yield RulesetChange("changed", "criteria", "order", "as before", f"another, from {moved} on")


def _follows_group(old: Ruleset, new: Ruleset, before: Criterion, after: Criterion) -> bool:
    """Whether another half-life of a criterion is only what its group's says, and told of there."""
    if before.group != after.group or before.group not in old.groups or after.group not in new.groups:
        return False
    groups = old.groups[before.group].half_life, new.groups[after.group].half_life
    return groups[0] != groups[1] and (before.half_life, after.half_life) == groups


def _groups(old: Ruleset, new: Ruleset) -> Iterator[RulesetChange]:
    for name in dict.fromkeys((*new.groups, *old.groups)):
        before, after = old.groups.get(name), new.groups.get(name)
        part = f"group {name}"
        if before is None or after is None:
            kind: ChangeKind = "added" if before is None else "removed"
            yield RulesetChange(kind, part, "", _bounds(before), _bounds(after))
        else:
            yield from _fields(part, before, after)


def _tiers(old: Ruleset, new: Ruleset) -> Iterator[RulesetChange]:
    before, after = ({tier.name: tier.from_ for tier in rules.tiers} for rules in (old, new))
    for name in dict.fromkeys((*after, *before)):
        part = f"tier {name}"
        if name not in before:
            yield RulesetChange("added", part, "", "", _tier(after[name]))
        elif name not in after:
            yield RulesetChange("removed", part, "", _tier(before[name]), "")
        else:
            yield from _field(part, "from_", before[name], after[name])


def _tier(from_: float | None) -> str:
    return "the lowest" if from_ is None else f"from {from_:g}"


def _fields(part: str, before: object, after: object, prefix: str = "") -> Iterator[RulesetChange]:
    """Yield how two parts with fields differ; None of both is no part at all."""
    fields = _flat(before), _flat(after)
    if before is None and after is not None:
        yield RulesetChange("added", part, prefix, "", _joined(fields[1]))
    elif after is None and before is not None:
        yield RulesetChange("removed", part, prefix, _joined(fields[0]), "")
    else:
        for name in dict.fromkeys((*fields[1], *fields[0])):
            yield from _field(part, name, fields[0].get(name), fields[1].get(name))


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Return the fields of a part by name, those of a part inside it with its name before theirs."""
    flat: dict[str, object] = {}
    for name in _names(value):
        inner = getattr(value, name)
        if _names(inner):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = inner
    return flat


def _names(value: object) -> tuple[str, ...]:
    """Return the names of a part's fields; of none for a plain value, and for patterns, which are one value."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(name for name in value._fields if name != "name")
    return ()


def _field(part: str, name: str, before: object, after: object) -> Iterator[RulesetChange]:
    if before != after:
        texts = _contrasted(_tell(name, before), _tell(name, after))
        yield RulesetChange("changed", part, _WRITTEN.get(name, name), *texts)


def _tell(name: str, value: object) -> str:
    """Return a field's value as people write it."""
    last = name.rpartition(".")[2]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and last in _LENGTHS:
        return tell_length(value)
    if isinstance(value, int) and last in _MINUTES:
        return f"{value // 60:02}:{value % 60:02}"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, Pattern):
        return value.text
    if isinstance(value, frozenset):
        return ", ".join(_WEEKDAYS[one] if isinstance(one, int) else str(one) for one in sorted(value)) or "none"
    if isinstance(value, Measure):
        return f"{value.kind} {'.'.join(value.path)}".rstrip()
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def _contrasted(before: str, after: str) -> tuple[str, str]:
    """Return two texts, long ones from shortly before where they begin to differ, so that the difference is seen."""
    if max(len(before), len(after)) <= _LONGEST_VALUE:
        return before, after
    pairs = enumerate(zip(before, after, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(len(before), len(after)))
    start = max(0, same - _CONTEXT)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int) -> str:
    head = _ELLIPSIS if start else ""
    tail = _ELLIPSIS if len(text) > start + _LONGEST_VALUE else ""
    return f"{head}{text[start : start + _LONGEST_VALUE]}{tail}"


def _summary(criterion: Criterion) -> str:
    if criterion.disqualify:
        return "disqualifies"
    told = f"{criterion.points:+d} points in {criterion.group}"
    return f"{told}, half-life {tell_length(criterion.half_life)}" if criterion.half_life is not None else told


def _bounds(group: Group | None) -> str:
    return "" if group is None else _joined(_flat(group))


def _joined(fields: Mapping[str, object]) -> str:
    told = ((name, _tell(name, value)) for name, value in fields.items() if value is not None)
    return _cut(", ".join(f"{_WRITTEN.get(name, name)} {text}" for name, text in told), 0)
