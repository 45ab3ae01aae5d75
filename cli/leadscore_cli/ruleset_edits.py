"""A ruleset's text with other points, tier cuts and half-lives, and all else as its author wrote it, byte for byte.

    text --where each value stands--> the spans of the values to change --> new text --parsed again--> only that changed

YAML and JSON are edited in place: comments, order, quotes and layout stay. A criterion that comes to 0 points is taken
out, with the comment at its end. Invariant: what is returned parses to the old document with those values and to
nothing else, or nothing is returned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from leadscore import InvalidRuleset, parse_ruleset
from leadscore.core.documents import canonical_text
from leadscore.core.instants import parse_duration
from leadscore.core.parsing import describe_problem

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]|[^][{}",:\s]+')
_BLANKS = re.compile(r"(?:\s|#[^\n]*)*")
_HALF_LIFE, _NO_DECAY = "half_life", "none"
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_MOST_SECONDS = 3650 * 86_400
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")


class RulesetEditError(ValueError):
    """The text cannot be changed in place; says why, and what could be done about it."""


class TierCut(NamedTuple):
    """The score from which on a lead is in a tier."""

    tier: str
    from_: int


def edit_ruleset(
    text: str, points: Mapping[str, int], cuts: Sequence[TierCut] = (), half_lives: float | None = 1.0
) -> str:
    """Return `text`, a valid ruleset, with other `points` by criterion and other tier cuts; 0 takes a criterion out.

    All half-lives become `half_lives` times what they are, or none with None. Raises RulesetEditError where a value is
    not where it can be changed alone, and where what comes out is no ruleset.
    """
    expected = _changed_document(parse_ruleset(text).document, points, cuts, half_lives)
    document = _read(text)
    criteria, tiers = dict(_named(document, "criteria", "id")), dict(_named(document, "tiers", "name"))
    values = [(_value_of(criteria[name], "points"), f"{number:d}") for name, number in points.items() if number]
    values += [(_value_of(tiers[cut.tier], "from"), f"{cut.from_:d}") for cut in cuts]
    if half_lives != 1.0:
        groups = [group for name, group in _fields(document) if name == "groups" for _, group in _fields(group)]
        decaying = [
            value for one in (*groups, *criteria.values()) for name, value in _fields(one) if name == _HALF_LIFE
        ]
        # A place that is named by an alias is written once.
        written = {value.start: _unshared(value, _HALF_LIFE) for value in decaying}.values()
        values += [(value, _times(value.text, half_lives)) for value in written]
    edited = text
    for value, said in sorted(values, key=lambda one: -one[0].start):
        edited = f"{edited[: value.start]}{_spelled(said, edited[value.start : value.end])}{edited[value.end :]}"
    for name in [name for name, number in points.items() if number == 0]:
        edited = _without(edited, name)
    _check(edited, expected)
    return edited


def _spelled(said: str, before: str) -> str:
    """Return a value in the quotes, or with the plus, that its author gave the one before."""
    if before.startswith(("'", '"')):
        return f"{before[0]}{said}{before[0]}"
    return f"+{said}" if before.startswith("+") and not said.startswith("-") else said


def _times(half_life: str, factor: float | None) -> str:
    """Return a half-life times a factor, in the largest unit that divides it."""
    if factor is None or half_life == _NO_DECAY:
        return _NO_DECAY
    seconds = min(_MOST_SECONDS, max(1, round(parse_duration(half_life) * factor / 1000)))
    unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
    return f"{seconds // length}{unit}"


def _changed_document(
    document: str, points: Mapping[str, int], cuts: Sequence[TierCut], half_lives: float | None
) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(document)
    for one in (*changed.get("groups", {}).values(), *changed["criteria"]):
        if _HALF_LIFE in one and half_lives != 1.0:
            one[_HALF_LIFE] = _times(one[_HALF_LIFE], half_lives)
    for criterion in changed["criteria"]:
        if criterion["id"] in points:
            criterion["points"] = points[criterion["id"]]
    changed["criteria"] = [one for one in changed["criteria"] if one.get("points") != 0]
    by_tier = {cut.tier: cut.from_ for cut in cuts}
    for tier in changed["tiers"]:
        if tier["name"] in by_tier:
            tier["from"] = by_tier[tier["name"]]
    return changed


def _check(edited: str, expected: Mapping[str, Any]) -> None:
    try:
        parse_ruleset(expected)
    except InvalidRuleset as invalid:
        said = "; ".join(describe_problem(problem) for problem in invalid.errors)
        raise RulesetEditError(f"with these points it would be no ruleset: {said}") from None
    try:
        found = parse_ruleset(edited).document
    except InvalidRuleset:
        found = ""
    if found != canonical_text(expected):
        raise RulesetEditError("the text cannot be changed in these places alone: change it by hand")


@dataclass(slots=True)
class _Node:
    """A value and where it stands; an object's keys and values alternate in `children`.

    `shared` says that other places have it by its anchor. A list or an object in YAML's block style is no `flow`.
    """

    start: int
    end: int
    text: str = ""
    children: list[_Node] = field(default_factory=list)
    is_flow: bool = True
    shared: bool = False


def _named(document: _Node, field_: str, name: str) -> Iterator[tuple[str, _Node]]:
    """Yield the items of one of the document's lists, each with its name."""
    for item in _value_of(document, field_).children:
        yield _value_of(item, name).text, item


def _value_of(node: _Node, key: str) -> _Node:
    """Return the value of a field, which may be changed where it is not `shared`."""
    fields = dict(_fields(node))
    if key not in fields:
        raise RulesetEditError(f"no {key} is written where it should be: change it by hand")
    return _unshared(fields[key], key)


def _fields(node: _Node) -> Iterator[tuple[str, _Node]]:
    """Yield the fields of an object."""
    for key, value in zip(node.children[::2], node.children[1::2], strict=True):
        yield key.text, value


def _unshared(value: _Node, key: str) -> _Node:
    if value.shared and not value.children:
        raise RulesetEditError(f"{key}: {value.text} is written as an anchor (&): write the value out first")
    return value


def _without(text: str, name: str) -> str:
    """Return the text without one criterion."""
    criteria = _value_of(_read(text), "criteria")
    nth = [_value_of(item, "id").text for item in criteria.children].index(name)
    if criteria.is_flow:
        return _without_flow_item(text, criteria.children, nth)
    return _without_block_item(text, criteria, nth)


def _without_block_item(text: str, items: _Node, nth: int) -> str:
    """Return the text without the lines from an item's dash on, to the end of the line on which it ends."""
    behind = items.children[nth - 1].end if nth else items.start
    dash = _past_blanks(text, behind)
    begin = text.rfind("\n", 0, dash) + 1
    rest = _REST_OF_LINE.match(text, items.children[nth].end)
    if text[dash] != "-" or text[begin:dash].strip() or rest is None:
        raise RulesetEditError("a criterion that is to be taken out shares its line: take it out by hand")
    return text[:begin] + text[rest.end() :]


def _without_flow_item(text: str, items: Sequence[_Node], nth: int) -> str:
    """Return the text without an item and one comma; a line that has nothing else goes as a whole."""
    item = items[nth]
    comma = _past_blanks(text, item.end)
    before, after = text[: item.start], text[item.end :]
    if text[comma] == ",":
        after = text[item.end : comma] + text[comma + 1 :]
    elif nth:
        comma = _past_blanks(text, items[nth - 1].end)
        before = text[:comma] + text[comma + 1 : item.start]
    line_start = before.rfind("\n") + 1
    rest = _REST_OF_LINE.match(after)
    if rest is not None and not before[line_start:].strip():
        return before[:line_start] + after[rest.end() :]
    if before.rstrip(" ").endswith("["):
        return before + after.lstrip(" ")
    return before.rstrip(" ") + after if before[line_start:].strip() else before + after.lstrip(" ")


def _past_blanks(text: str, at: int) -> int:
    """Return the first place from `at` on that is neither blank nor in a comment."""
    blanks = _BLANKS.match(text, at)
    return at if blanks is None else blanks.end()


def _read(text: str) -> _Node:
    """Return the document of a text that is known to be a ruleset."""
    return _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text)


def _read_json(text: str) -> _Node:
    root = _Node(0, len(text))
    open_ = [root]
    for token in _JSON_TOKEN.finditer(text):
        said = token.group()
        if said in "[{":
            open_.append(_Node(token.start(), token.end()))
        elif said in "]}":
            closed = open_.pop()
            closed.end = token.end()
            open_[-1].children.append(closed)
        else:
            value = json.loads(said) if said.startswith('"') else said
            open_[-1].children.append(_Node(token.start(), token.end(), value))
    return root.children[0]


def _read_yaml(text: str) -> _Node:
    from ruamel.yaml import YAML, events

    root = _Node(0, len(text))
    open_, anchors = [root], dict[str, _Node]()
    # A block ends with its last value: its own end comes behind the comments that follow.
    written = 0
    for event in YAML(typ="base", pure=True).parse(text):
        start, end, parent = event.start_mark.index, event.end_mark.index, open_[-1]
        if isinstance(event, events.CollectionStartEvent):
            open_.append(_Node(start, end, is_flow=bool(event.flow_style), shared=event.anchor is not None))
            parent.children.append(open_[-1])
        elif isinstance(event, events.CollectionEndEvent):
            written = end if parent.is_flow else written
            parent.end = written
            open_.pop()
        elif isinstance(event, events.ScalarEvent):
            written = start + len(text[start:end].rstrip())
            parent.children.append(_Node(start, written, event.value, shared=event.anchor is not None))
        elif isinstance(event, events.AliasEvent):
            written = end
            meant = anchors[str(event.anchor)]
            # A number is changed where its name stands for it; what is in a list or an object, where that is written.
            parent.children.append(meant if meant.children else _Node(start, end, meant.text))
        if isinstance(event, events.CollectionStartEvent | events.ScalarEvent) and event.anchor is not None:
            anchors[str(event.anchor)] = parent.children[-1]
    return root.children[0]
