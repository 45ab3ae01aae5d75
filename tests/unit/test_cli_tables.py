"""What a terminal shows: the numbers to one decimal, and text from events as it is."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from leadscore_cli.api_client import CalibrationFields, LeadDetail, LeadPage, LeadRow, PConvertFields
from leadscore_cli.tables import event_name, lead_view, leads_table, outputs_list

CHANCE: PConvertFields = {"value": 0.123, "low": 0.0911, "high": 0.164}
NOTE: CalibrationFields = {
    "status": "current",
    "taken_at": "2026-01-02T03:04:05.000Z",
    "leads": 1200,
    "conversions": 140,
    "window_days": 30.0,
    "ruleset": "abc",
}
STALE: CalibrationFields = {**NOTE, "status": "stale"}
LEAD: LeadDetail = {
    "id": "ada",
    "traits": {"title": "CEO [x]", "company": {"employees": 300}},
    "account": "acme",
    "score": {
        "total": 53.0,
        "tier": "hot",
        "groups": {"fit": 18.0, "engagement": 35.0},
        "coverage": 0.5,
        "next_change_at": "2026-02-14T00:00:00.000Z",
    },
    "explanation": ["executive +10.0", "free-trial +20.0"],
    "events": [
        {"timestamp": f"2026-01-{day:02}T00:00:00.000Z", "type": "track", "event": f"Event {day}"}
        for day in range(20, 0, -1)
    ],
}
FROM = "within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"
OLD = "the calibration of 2026-01-02 is older than 45 days"


def shown(renderable: RenderableType) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def row(**changes: object) -> LeadRow:
    lead: LeadRow = {
        "id": "ada",
        "name": "Ada",
        "email": "ada@acme.example",
        "title": "CEO",
        "company": "Acme",
        "score": 53.04,
        "fit": 18.0,
        "engagement": 35.04,
        "tier": "hot",
        "reasons": [{"criterion": "free-trial", "label": "Free trial", "points": 20.0}],
    }
    return {**lead, **changes}  # type: ignore[typeddict-item]


def page(*leads: LeadRow) -> LeadPage:
    return {"leads": list(leads), "next_cursor": None, "at": "2026-01-31T12:00:00.000Z"}


def test_a_ranked_lead_is_one_line() -> None:
    line = shown(leads_table(page(row()))).splitlines()[1]

    assert line.split() == ["1", "Ada", "Acme", "53.0", "18.0", "35.0", "hot", "+20.0", "free-trial"]


def test_a_lead_goes_by_the_best_name_that_is_known() -> None:
    table = shown(leads_table(page(row(name=""), row(name="", email=""))))

    assert [line.split()[1] for line in table.splitlines()[1:]] == ["ada@acme.example", "ada"]


def test_markup_in_a_name_is_text() -> None:
    assert "[red]Ada[/red]" in shown(leads_table(page(row(name="[red]Ada[/red]"))))


def test_chances_are_a_column_and_what_they_are_from_is_below() -> None:
    listed: LeadPage = {**page(row(p_convert=CHANCE), row(p_convert=None)), "calibration": NOTE}

    head, first, second, below = shown(leads_table(listed)).splitlines()

    assert "p_convert" in head
    assert "12% (9.1 to 16%)" in first
    assert "%" not in second
    assert below == f"p_convert: {FROM}"


def test_a_list_without_chances_says_why_where_there_had_been_some() -> None:
    stale: LeadPage = {**page(row(p_convert=None)), "calibration": STALE}

    head, _, below = shown(leads_table(stale)).splitlines()

    assert "p_convert" not in head
    assert below == f"p_convert: none: {OLD}"
    assert "p_convert" not in shown(leads_table({**page(row()), "calibration": {"status": "none"}}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"p_convert": CHANCE, "calibration": NOTE}, f"12% (9.1 to 16%) {FROM}"),
        ({"p_convert": None, "calibration": NOTE}, "none of this lead"),
        ({"p_convert": None, "calibration": STALE}, f"none: {OLD}"),
        ({"p_convert": None, "calibration": {"status": "none"}}, "none: no conversions have been calibrated on yet"),
    ],
)
def test_a_lead_is_shown_with_its_chance_or_why_it_has_none(changes: dict[str, object], told: str) -> None:
    text = shown(lead_view({**LEAD, **changes}))  # type: ignore[typeddict-item]

    [line] = [line for line in text.splitlines() if line.startswith("p_convert")]
    assert line.split(maxsplit=1)[1].rstrip() == told


def test_a_lead_as_of_another_instant_has_no_line_on_its_chance() -> None:
    assert "p_convert" not in shown(lead_view(LEAD))


def test_a_lead_is_shown_with_every_explaining_line_and_its_newest_events() -> None:
    text = shown(lead_view(LEAD, max_events=2))

    for expected in (
        "53.0  hot",
        "acme",
        "CEO [x]",
        '{"employees": 300}',
        "50%",
        "2026-02-14",
        "executive +10.0",
        "free-trial +20.0",
    ):
        assert expected in text
    assert "Event 19" in text
    assert "Event 18" not in text


def test_an_event_is_called_by_what_tells_it_apart() -> None:
    assert event_name({"type": "track", "event": "Trial Started", "properties": {"path": "/x"}}) == "Trial Started"
    assert event_name({"type": "page", "name": "Pricing", "properties": {"path": "/pricing"}}) == "/pricing"
    assert event_name({"type": "page", "name": "Pricing"}) == "Pricing"
    assert event_name({"type": "group", "groupId": "acme"}) == "acme"
    assert event_name({"type": "identify"}) == ""


def test_outputs_are_lines_to_copy_from_however_long() -> None:
    text = outputs_list({"api": "http://127.0.0.1:1/v1", "functions": {"score": "x" * 200}}).plain

    assert text.splitlines() == ["api              http://127.0.0.1:1/v1", f"functions.score  {'x' * 200}"]
