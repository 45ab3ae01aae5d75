"""The exact reading of an event that has arrays where patterns look; slower, and only used for such events.

An array is crushed out of the path: its elements stand where it stands. But two clauses of one conjunction must not
be met in different elements of one array, and a field is absent when no leaf of it agrees with the elements that the
other clauses chose. Leaves are sorted into scopes (the event, and each array element that is an object or array);
within a scope different arrays are independent, so the work is linear in the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leadscore.core.matching.effects import Bits
from leadscore.core.matching.fields import FieldIndex
from leadscore.core.patterns import Path

MAX_ARRAY_DEPTH = 32


@dataclass(slots=True)
class PathNode:
    """A place in events: the indexes (by number) of the fields that end here, and the places below."""

    fields: list[int] = field(default_factory=list)
    children: dict[str, PathNode] = field(default_factory=dict)
    below: list[int] = field(default_factory=list)


def build_tree(paths: Iterable[Path]) -> PathNode:
    """Return the tree of `paths`; field numbers are their positions, `below` counts a node's own fields too."""
    root = PathNode()
    for number, path in enumerate(paths):
        node = root
        node.below.append(number)
        for name in path:
            node = node.children.setdefault(name, PathNode())
            node.below.append(number)
        node.fields.append(number)
    return root


class _Scope:
    """The leaves of one array element (or of the event): each can be combined with every other."""

    __slots__ = ("arrays", "direct", "present")

    def __init__(self) -> None:
        self.direct: dict[int, Bits] = {}
        self.arrays: list[tuple[list[int], list[_Scope]]] = []
        self.present: set[int] = set()


def match_exactly(event: Mapping[str, object], root: PathNode, indexes: Sequence[FieldIndex], every: Bits) -> Bits:
    """Return the conjunctions that `event` satisfies.

    What lies in more than MAX_ARRAY_DEPTH arrays at once is not looked at.
    """
    scope = _Scope()
    _gather(root, event, scope, indexes, 0)
    bound, unbound = _solve(scope, root.below, {}, indexes, every)
    return bound | unbound


def _gather(node: PathNode, value: object, scope: _Scope, indexes: Sequence[FieldIndex], depth: int) -> None:
    if isinstance(value, Mapping):
        for name, child in node.children.items():
            if name in value:
                _gather(child, value[name], scope, indexes, depth)
    elif isinstance(value, list | tuple):
        if depth < MAX_ARRAY_DEPTH:
            _gather_array(node, value, scope, indexes, depth + 1)
    else:
        for number in node.fields:
            index = indexes[number]
            met = index.find(value) & index.used
            scope.direct[number] = scope.direct.get(number, 0) | met
            scope.present.add(number)


def _gather_array(
    node: PathNode, values: Iterable[object], scope: _Scope, indexes: Sequence[FieldIndex], depth: int
) -> None:
    elements: list[_Scope] = []
    for value in values:
        if isinstance(value, Mapping | list | tuple):
            element = _Scope()
            _gather(node, value, element, indexes, depth)
            if element.present:
                elements.append(element)
                scope.present |= element.present
        else:
            _gather(node, value, scope, indexes, depth)
    if elements:
        scope.arrays.append((node.below, elements))


def _solve(
    scope: _Scope, fields: Iterable[int], outer: Mapping[int, Bits], indexes: Sequence[FieldIndex], every: Bits
) -> tuple[Bits, Bits]:
    """Return the conjunctions whose clauses on `fields` all hold: using a leaf of this scope, and using none of them.

    `outer` are leaves of enclosing scopes that stand in this very array: clauses may use them too.
    """
    groups: list[tuple[Bits, Bits]] = []
    open_fields = set(fields)
    for below, elements in scope.arrays:
        open_fields.difference_update(below)
        groups.append(_solve_array(scope, below, elements, outer, indexes, every))
    groups.extend(_solve_field(scope, number, outer, indexes[number], every) for number in open_fields)
    return _combine(groups, every)


def _solve_array(
    scope: _Scope,
    below: list[int],
    elements: list[_Scope],
    outer: Mapping[int, Bits],
    indexes: Sequence[FieldIndex],
    every: Bits,
) -> tuple[Bits, Bits]:
    """Return the same for the fields of one array: one element is chosen for all clauses, or none."""
    beside = {number: outer.get(number, 0) | scope.direct.get(number, 0) for number in {*outer, *scope.direct}}
    bound, unbound = _combine([_solve_field(scope, n, outer, indexes[n], every) for n in below], every)
    for element in elements:
        bound |= _solve(element, below, beside, indexes, every)[0]
    return bound, unbound


def _solve_field(
    scope: _Scope, number: int, outer: Mapping[int, Bits], index: FieldIndex, every: Bits
) -> tuple[Bits, Bits]:
    bound = scope.direct.get(number, 0)
    unbound = every & ~index.used
    if number in outer:
        unbound |= outer[number]
    elif number not in scope.present:
        unbound = index.absent
    return bound, unbound


def _combine(groups: Iterable[tuple[Bits, Bits]], every: Bits) -> tuple[Bits, Bits]:
    held, touched, untouched = every, 0, every
    for bound, unbound in groups:
        held &= bound | unbound
        touched |= bound
        untouched &= unbound
    return held & touched, untouched
