"""A ruleset's text is changed where its points stand, and nowhere else."""

from __future__ import annotations

from difflib import ndiff

import pytest

from leadscore import parse_ruleset
from leadscore_cli.ruleset_edits import RulesetEditError, TierCut, edit_ruleset

YAML = """\
# How we score. Ask Ada before you change it.
goal: {event: [Subscription Started]}   # what counts

tiers:
  - {name: hot,  from: 20}    # call today
  - {name: warm, from: 12.5}
  - {name: cold}

criteria:
  # Who they are
  - {id: executive, group: fit, traits: {title: ['CEO', "VP"]}, points: +10}  # decides

  - id: pricing-page   # reads prices
    group:   engagement
    event: {type: [page], properties: {path: [/pricing]}}
    label: >-
      looked at prices
      # twice
    points:  15 # a guess
    # half_life: 14d

  # What they do
  - group: engagement
    id: "trial"
    points: 40
    event:
      event: [Trial Started]
"""


def differing(before: str, after: str) -> list[str]:
    return [
        line for line in ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True)) if line[0] in "+-"
    ]


def test_points_are_changed_in_their_place_and_nothing_else_is() -> None:
    edited = edit_ruleset(YAML, {"executive": 3, "pricing-page": 2, "trial": 100})

    assert edited == (
        YAML.replace("points: +10", "points: +3").replace("points:  15 #", "points:  2 #").replace("40\n", "100\n")
    )


def test_tier_cuts_are_changed_in_their_place() -> None:
    edited = edit_ruleset(YAML, {}, [TierCut("hot", 25), TierCut("warm", 9)])

    assert differing(YAML, edited) == [
        "-   - {name: hot,  from: 20}    # call today\n",
        "+   - {name: hot,  from: 25}    # call today\n",
        "-   - {name: warm, from: 12.5}\n",
        "+   - {name: warm, from: 9}\n",
    ]


def test_a_criterion_of_no_points_is_taken_out_with_the_comment_at_its_end_alone() -> None:
    edited = edit_ruleset(YAML, {"executive": 0})

    assert differing(YAML, edited) == [
        "-   - {id: executive, group: fit, traits: {title: ['CEO', \"VP\"]}, points: +10}  # decides\n"
    ]


def test_a_criterion_of_many_lines_is_taken_out_from_its_dash_to_its_last_value() -> None:
    before, rest = YAML.split("  - id: pricing-page")
    _, after = rest.split("# a guess\n")

    assert edit_ruleset(YAML, {"pricing-page": 0}) == before + after


def test_the_last_criterion_ends_with_the_text() -> None:
    edited = edit_ruleset(YAML, {"trial": 0, "executive": 12})

    assert edited.endswith("    # half_life: 14d\n\n  # What they do\n")
    assert [(c.id, c.points) for c in parse_ruleset(edited).criteria] == [("executive", 12), ("pricing-page", 15)]


def test_a_text_block_at_the_end_of_a_criterion_goes_with_it_and_what_follows_stays() -> None:
    block = "  - id: other\n    group: fit\n    traits: {other: [1]}\n    points: 5\n    label: >-\n      of two\n"
    text = f"{YAML}{block}\n  # of the next\n  - {{id: next, group: fit, traits: {{next: [1]}}, points: 5}}\n"

    assert edit_ruleset(text, {"other": 0}) == text.replace(block, "")


def test_windows_line_ends_stay() -> None:
    text = YAML.replace("\n", "\r\n")

    assert edit_ruleset(text, {"trial": 7, "executive": 0}) == edit_ruleset(YAML, {"trial": 7, "executive": 0}).replace(
        "\n", "\r\n"
    )


FLOW = "tiers: [{name: hot, from: 9}, {name: cold}]\ncriteria: [%s]\nalerts: {tier: hot}\n"


def flow(name: str) -> str:
    return f"{{id: {name}, group: fit, traits: {{{name}: [1]}}, points: 10}}"


@pytest.mark.parametrize(
    ("begin", "join", "end"),
    [("", ", ", ""), (" ", ", ", " "), ("", ",", ""), ("\n  ", ",\n  ", "\n"), ("\n", ",\n", "\n")],
)
@pytest.mark.parametrize("gone", [["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "c"]])
def test_items_of_a_flow_list_go_with_one_comma(begin: str, join: str, end: str, gone: list[str]) -> None:
    text = FLOW % (begin + join.join(map(flow, "abc")) + end)

    left = join.join(map(flow, sorted(set("abc") - set(gone))))
    assert edit_ruleset(text, dict.fromkeys(gone, 0)) == FLOW % (begin + left + end)


def test_the_comments_of_other_items_of_a_flow_list_stay() -> None:
    text = FLOW % f"\n  {flow('a')}, # one, two\n  # of b\n  {flow('b')}, # three\n  {flow('c')} # four\n"

    assert edit_ruleset(text, {"b": 0}) == text.replace(f"  {flow('b')}, # three\n", "")
    assert edit_ruleset(text, {"c": 0}) == text.replace(f"  {flow('c')} # four\n", "").replace(
        f"{flow('b')},", flow("b")
    )


def test_a_comma_behind_the_last_item_is_its_own() -> None:
    text = FLOW % f"{flow('a')}, {flow('b')},"

    assert edit_ruleset(text, {"b": 0}) == FLOW % f"{flow('a')},"


JSON = """{
\t"tiers": [{"name": "hot", "from": 9}, {"name": "cold"}],
\t"criteria": [
\t\t{
\t\t\t"id": "a", "group": "fit", "points": 10,
\t\t\t"traits": {"a": ["points", "]},"]}
\t\t},
\t\t{"id": "\\u0062", "points": 5, "group": "fit", "traits": {"b": [1]}}
\t]
}
"""


def test_json_is_changed_in_place_whatever_its_blanks() -> None:
    assert edit_ruleset(JSON, {"a": 8, "b": -2}, [TierCut("hot", 5)]) == (
        JSON.replace("10", "8").replace('"points": 5', '"points": -2').replace('"from": 9', '"from": 5')
    )


def test_json_stays_json_without_its_last_item() -> None:
    edited = edit_ruleset(JSON, {"b": 0})

    assert [c.id for c in parse_ruleset(edited).criteria] == ["a"]
    assert edited == JSON.replace("\t\t},\n", "\t\t}\n").replace(JSON.splitlines(keepends=True)[-3], "")


DECAYING = """\
tiers: [{name: hot, from: 9}, {name: cold}]
groups:
  engagement: {half_life: %s}  # slow
  product:
    half_life: "%s"
criteria:
  - {id: a, group: engagement, event: {event: [A]}, points: 10, half_life: '%s'}
  - {id: b, group: engagement, event: {event: [B]}, points: 10, half_life: none}
  - {id: c, group: product, event: {event: [half_life]}, points: 10}
"""


@pytest.mark.parametrize(
    ("factor", "after"),
    [
        (0.25, ("180h", "84h", "15s")),
        (0.5, ("15d", "7d", "30s")),
        (2.0, ("60d", "28d", "2m")),
        (4.0, ("120d", "56d", "4m")),
        (None, ("none", "none", "none")),
        (1.0, ("30d", "2w", "1m")),
    ],
)
def test_half_lives_are_all_times_one_factor(factor: float | None, after: tuple[str, ...]) -> None:
    assert edit_ruleset(DECAYING % ("30d", "2w", "1m"), {}, half_lives=factor) == DECAYING % after


def test_a_half_life_stays_between_a_second_and_ten_years() -> None:
    edited = edit_ruleset(DECAYING % ("3000d", "1s", "500w"), {}, half_lives=4.0)

    assert edited == DECAYING % ("3650d", "4s", "3650d")
    assert edit_ruleset(DECAYING % ("3000d", "1s", "2s"), {}, half_lives=0.25) == DECAYING % ("750d", "1s", "1s")


def test_half_lives_of_json_keep_their_quotes() -> None:
    text = parse_ruleset(DECAYING % ("30d", "2w", "1m")).document

    assert (
        edit_ruleset(text, {"a": 7}, half_lives=2.0)
        == parse_ruleset(
            (DECAYING % ("60d", "28d", "2m")).replace(
                "id: a, group: engagement, event: {event: [A]}, points: 10",
                "id: a, group: engagement, event: {event: [A]}, points: 7",
            )
        ).document
    )


def test_a_number_under_a_name_is_written_out_where_it_stands_for_it() -> None:
    text = YAML.replace("from: 20}", "from: &n 20}").replace("points: 40", "points: *n")

    assert edit_ruleset(text, {"trial": 7}) == text.replace("points: *n", "points: 7")


def test_a_number_that_other_places_share_is_not_changed() -> None:
    text = YAML.replace("from: 20}", "from: &n 20}").replace("points: 40", "points: *n")

    with pytest.raises(RulesetEditError, match="20 is written as an anchor"):
        edit_ruleset(text, {}, [TierCut("hot", 30)])


def test_a_list_under_a_name_is_changed_where_it_is_written() -> None:
    text = YAML.replace("title: ['CEO', \"VP\"]", "title: &titles ['CEO', \"VP\"]") + (
        "  - id: other\n    points: 5\n    group: fit\n    traits:\n      role: *titles  # as above\n"
    )

    assert edit_ruleset(text, {"other": 0}) == text.split("  - id: other")[0]
    with pytest.raises(RulesetEditError, match="by hand"):
        edit_ruleset(text, {"executive": 0})


@pytest.mark.parametrize(
    ("text", "points", "said"),
    [
        (YAML, {"executive": 1, "pricing-page": 1, "trial": 1}, r"tiers\[0\].from"),
        (YAML, {"executive": 0, "pricing-page": 0, "trial": 0}, "criteria"),
        (
            YAML.replace("tiers:", "groups: {x: {max: 9}}\ntiers:").replace("group: fit", "group: x"),
            {"executive": 0},
            "x",
        ),
    ],
)
def test_what_would_be_no_ruleset_is_said_to_be_none(text: str, points: dict[str, int], said: str) -> None:
    with pytest.raises(RulesetEditError, match=f"with these points it would be no ruleset: .*{said}"):
        edit_ruleset(text, points)


@pytest.mark.parametrize(
    "text",
    [
        "﻿" + YAML,
        "---\n" + YAML,
        "%YAML 1.2\n---\n" + YAML + "...\n",
        YAML.replace("  - id: pricing-page", "  -\n    # here\n    id: pricing-page"),
        YAML.replace("decides", "déçides 🎉"),
        YAML.rstrip("\n"),
        YAML + "\n# the end",
    ],
)
def test_however_a_text_is_spelled_only_what_changes_changes(text: str) -> None:
    edited = edit_ruleset(text, {"trial": 7, "executive": 3})

    assert edited == text.replace("points: 40", "points: 7").replace("+10", "+3")
    lines = differing(text, edit_ruleset(text, {"pricing-page": 0}))
    assert lines
    assert all(line.startswith("- ") for line in lines)
    assert not any(word in line for line in lines for word in ("What they do", "half_life", "executive", "trial"))
