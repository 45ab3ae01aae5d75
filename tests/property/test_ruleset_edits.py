"""Laws of editing a ruleset's text: what comes out is what its author would have written with the other points."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from leadscore import InvalidRuleset, parse_ruleset
from leadscore_cli.ruleset_edits import RulesetEditError, TierCut, edit_ruleset


@dataclass(frozen=True)
class Written:
    """A criterion and how its author writes it; `above` are comments of their own, `behind` one at its end."""

    id: str
    points: int
    layout: str
    above: tuple[str, ...]
    behind: str
    blank: str

    def lines(self, points: int) -> list[str]:
        """Return its lines with those points, the comments above alone where there are none."""
        comments = [f"  # {one}" for one in self.above]
        if points == 0:
            return comments
        plus = "+" if self.layout == "plus" and points > 0 < self.points else ""
        number = f"{plus}{points}{self.behind}"
        match self.layout:
            case "flow":
                fields = (
                    f'group: fit, "points":{self.blank}{points}{self.blank}, traits: {{{self.id}: [points, "x#, "]}}'
                )
                return [*comments, f"  - {{id: {self.id}, {fields}}}{self.behind}"]
            case "split":
                return [
                    *comments,
                    "  - {",
                    f"    id: {self.id}, group: fit, # points: 9",
                    f"    points: {points},",
                    f"    traits: {{{self.id}: [{{anything-but: [']']}}]}}}}{self.behind}",
                ]
            case "last":
                return [
                    *comments,
                    f"  - id: '{self.id}'",
                    f"    traits: {{{self.id}: [1]}}",
                    "    group: fit",
                    f"    points:{self.blank}{number}",
                ]
            case _:
                return [
                    *comments,
                    f"  - points:{self.blank}{number}",
                    "    # within",
                    f"    id: {self.id}",
                    "    group: fit",
                    "    traits:",
                    f"      {self.id}:",
                    f"        - 1{self.behind}",
                ]


COMMENTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn", "Co"]), max_size=12)
POINTS = st.integers(-1000, 1000).filter(bool)


@st.composite
def written(draw: st.DrawFn) -> list[Written]:
    return [
        Written(
            id=f"c{place}",
            points=draw(POINTS),
            layout=draw(st.sampled_from(["flow", "split", "last", "first", "plus"])),
            above=tuple(draw(st.lists(COMMENTS, max_size=2))),
            behind=draw(st.one_of(st.just(""), COMMENTS.map(lambda one: f"  # {one}"))),
            blank=draw(st.sampled_from([" ", "   "])),
        )
        for place in range(draw(st.integers(1, 5)))
    ]


def text_of(criteria: list[Written], points: dict[str, int], hot: int, end: str) -> str:
    """Return the text that the author writes with those points and that cut."""
    lines = [
        "# points: 10",
        "tiers:   # three",
        f"  - {{name: hot, from: {hot}}} # !",
        "  - name: warm",
        "    from: 0.5",
    ]
    lines += ["  - {name: cold}", "", "total: {min: -9000, max: 9000}", "criteria:"]
    for one in criteria:
        lines += one.lines(points.get(one.id, one.points))
    return end.join([*lines, "# the end", ""])


@given(
    written(),
    st.dictionaries(st.integers(0, 4), st.integers(-1000, 1000), max_size=5),
    st.integers(1, 60),
    st.sampled_from(["\n", "\r\n"]),
)
def test_an_edited_text_is_what_its_author_would_have_written(
    criteria: list[Written], changes: dict[int, int], hot: int, end: str
) -> None:
    points = {f"c{place}": number for place, number in changes.items() if place < len(criteria)}
    before, after = text_of(criteria, {}, 70, end), text_of(criteria, points, hot, end)
    assume(is_ruleset(before))
    try:
        edited = edit_ruleset(before, points, [TierCut("hot", hot)])
    except RulesetEditError:
        assert not is_ruleset(after)
        return

    assert edited == after
    assert json.loads(parse_ruleset(edited).document) == changed(before, points, hot)


@given(
    written(),
    st.dictionaries(st.integers(0, 4), st.integers(-1000, 1000), max_size=5),
    st.sampled_from([None, 0, 1, "\t"]),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :  ")]),
)
def test_json_of_any_layout_holds_the_other_points_and_all_else(
    criteria: list[Written], changes: dict[int, int], indent: int | str | None, separators: tuple[str, str]
) -> None:
    source = text_of(criteria, {}, 70, "\n")
    assume(is_ruleset(source))
    before = json.dumps(json.loads(parse_ruleset(source).document), indent=indent, separators=separators)
    points = {f"c{place}": number for place, number in changes.items() if place < len(criteria)}
    expected = changed(before, points, 70)
    try:
        edited = edit_ruleset(before, points)
    except RulesetEditError:
        assert not is_ruleset(json.dumps(expected))
        return

    assert json.loads(edited) == expected
    if 0 not in points.values():
        assert edited == json.dumps(expected, indent=indent, separators=separators)


def changed(text: str, points: dict[str, int], hot: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(parse_ruleset(text).document)
    document["tiers"][0]["from"] = hot
    for criterion in document["criteria"]:
        criterion["points"] = points.get(criterion["id"], criterion["points"])
    document["criteria"] = [criterion for criterion in document["criteria"] if criterion["points"]]
    return document


def is_ruleset(text: str) -> bool:
    try:
        parse_ruleset(text)
    except InvalidRuleset:
        return False
    return True
