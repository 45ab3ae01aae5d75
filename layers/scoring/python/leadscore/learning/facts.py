"""What is known of leads that no criterion reads: the candidates for new criteria.

    event: Report Exported    page: /docs/api    section: /docs    screen: Home    trait: plan = team

Invariant: what is found is a function of the set of leads, whatever the segments and the order in which they are
merged, although it is bounded. A kind of fact with too many values (ids, free text) is given up as a whole, and of too
many traits the first by name are kept. Traits that say who somebody is are never among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadscore.core.ruleset import ACCOUNT
from leadscore.learning.samples import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadscore.core.state import Event

# Of a kind of event or page, and of a trait, at most so many values; of traits at most so many.
MOST_NAMES = 500
MOST_VALUES = 50
MOST_TRAITS = 100
_LONGEST = 120
_TRAIT = "trait: "
_ALL_TRAITS = "trait"
_SCALARS = frozenset((str, int, float, bool))
_PERSONAL = frozenset(
    (
        "email", "name", "firstName", "first_name", "lastName", "last_name", "fullName", "full_name", "phone",
        "username", "avatar", "address", "street", "birthday", "gender", "age", "id", "description", "ip",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """By kind and value, how many leads a fact holds for; `cut` are the kinds of which too many values were found.

    "trait" among them says that there are more traits than are kept.
    """

    found: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()

    def named(self, least: int) -> dict[str, Counts]:
        """Return the facts that hold for at least so many leads, by name."""
        return {
            f"{kind} = {value}" if kind.startswith(_TRAIT) else f"{kind}: {value}": counts
            for kind, values in sorted(self.found.items())
            for value, counts in sorted(values.items())
            if counts.leads >= least
        }

    def merge(self, *others: Facts) -> Facts:
        """Return the facts of the leads of this and of `others`, which must have no lead in common."""
        found: dict[str, dict[str, list[int]]] = {}
        for part in (self, *others):
            for kind, values in part.found.items():
                sums = found.setdefault(kind, {})
                for value, counts in values.items():
                    both = sums.setdefault(value, [0, 0])
                    both[0] += counts.leads
                    both[1] += counts.conversions
        return _bounded(found, {kind for part in (self, *others) for kind in part.cut})

    def to_dict(self) -> dict[str, object]:
        """Return the facts as plain JSON types; equal facts give equal texts."""
        found = {
            kind: {value: list(counts) for value, counts in sorted(values.items())}
            for kind, values in sorted(self.found.items())
        }
        return {"found": found, "cut": sorted(self.cut)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Mapping[str, Mapping[str, tuple[int, int]]]]) -> Facts:
        """Return the facts that `to_dict` wrote."""
        found = {
            kind: {value: Counts(*counts) for value, counts in values.items()}
            for kind, values in document["found"].items()
        }
        return cls(found, frozenset(document["cut"]))


class FactTally:
    """Counts leads one by one into `Facts`; `read` are the paths of traits that criteria read."""

    def __init__(self, read: frozenset[tuple[str, ...]]) -> None:
        self._read = read
        # Per kind and value the leads and those that converted; None for a kind that is cut.
        self._found: dict[str, dict[str, list[int]] | None] = {}
        self._too_many_traits = False
        # What a trait is called as a kind, by its name and what it is in; "" for one that is left out.
        self._kinds: dict[str, dict[str, str]] = {}

    def add(
        self,
        events: Iterable[Event],
        traits: Mapping[str, object],
        account: Mapping[str, object],
        *,
        converted: bool,
    ) -> None:
        """Count one lead: events that no criterion reads, and its traits and its account's."""
        named = set[tuple[str, str]]()
        for event in events:
            named.update(_named(event))
        for kind, value in named:
            self._count(kind, value, converted=converted)
        self._count_traits("", traits, converted=converted)
        if account:
            self._count_traits(ACCOUNT, account, converted=converted)

    def facts(self) -> Facts:
        """Return all that was counted so far."""
        found = {kind: values for kind, values in self._found.items() if values is not None}
        cut = self._found.keys() - found.keys()
        return _bounded(found, cut | {_ALL_TRAITS} if self._too_many_traits else cut)

    def _count_traits(self, within: str, traits: Mapping[str, object], *, converted: bool) -> None:
        kinds = self._kinds.get(within)
        if kinds is None:
            kinds = self._kinds[within] = {}
        for name, value in traits.items():
            kind = kinds.get(name)
            if kind is None:
                kind = kinds[name] = self._name(within, name)
            form = value.__class__
            if form is dict and not within:
                self._count_traits(name, value, converted=converted)  # type: ignore[arg-type]
            elif kind and form in _SCALARS:
                text = value if form is str else _text(value)
                self._count(kind, text, converted=converted)  # type: ignore[arg-type]

    def _count(self, kind: str, value: str, *, converted: bool) -> None:
        values = self._found.get(kind)
        if values is None:
            if kind in self._found:
                return
            values = self._found[kind] = {}
            if len(self._found) > 2 * MOST_TRAITS:
                self._drop_last_traits()
        counts = values.get(value)
        if counts is None:
            if not 0 < len(value) <= _LONGEST:
                return
            counts = values[value] = [0, 0]
            if len(values) > _most(kind):
                self._found[kind] = None
        counts[0] += 1
        counts[1] += converted

    def _name(self, within: str, name: str) -> str:
        path = (within, name) if within else (name,)
        left_out = path in self._read or name in _PERSONAL or len(name) > _LONGEST
        return "" if left_out else f"{_TRAIT}{'.'.join(path)}"

    def _drop_last_traits(self) -> None:
        for kind in _last_traits(self._found):
            self._too_many_traits = True
            del self._found[kind]
        self._kinds.clear()


def _named(event: Event) -> Iterable[tuple[str, str]]:
    kind = event["type"]
    if kind == "track":
        name = event.get("event")
        return [("event", name)] if isinstance(name, str) else ()
    if kind == "screen":
        name = event.get("name")
        return [("screen", name)] if isinstance(name, str) else ()
    if kind != "page":
        return ()
    properties = event.get("properties")
    path = properties.get("path") if isinstance(properties, Mapping) else None
    if not isinstance(path, str):
        return ()
    pages = [("page", path)]
    if path.count("/") > 1:
        pages.append(("section", path[: path.index("/", 1)]))
    return pages


def _text(value: object) -> str:
    """Return a yes, a no or a number as JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _most(kind: str) -> int:
    return MOST_VALUES if kind.startswith(_TRAIT) else MOST_NAMES


def _bounded(found: Mapping[str, Mapping[str, Sequence[int]]], cut: Iterable[str]) -> Facts:
    """Return the facts of at most so many values and traits.

    A kind that is cut in a part is cut in the whole, and of the first names of the whole each is one of the first in
    every part that has it: nothing that is kept was ever dropped from a part.
    """
    cut_kinds = {*cut, *(kind for kind, values in found.items() if len(values) > _most(kind))}
    dropped = _last_traits({*found, *cut_kinds})
    if dropped:
        cut_kinds = (cut_kinds - dropped) | {_ALL_TRAITS}
    kept = {
        kind: {value: Counts(*counts) for value, counts in values.items()}
        for kind, values in found.items()
        if kind not in cut_kinds and kind not in dropped
    }
    return Facts(kept, frozenset(cut_kinds))


def _last_traits(kinds: Iterable[str]) -> set[str]:
    """Return the traits that are one too many, which are the last by name."""
    return set(sorted(kind for kind in kinds if kind.startswith(_TRAIT))[MOST_TRAITS:])
