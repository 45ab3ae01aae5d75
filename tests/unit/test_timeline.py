"""The timeline of a lead: newest first, every event once, page by page."""

from __future__ import annotations

import pytest

from leadscore.usecases.queries import InvalidQueryError, write_cursor
from leadscore.usecases.timeline import MOST_EVENTS, Timeline, TimelineQuery, parse_timeline_query, read_timeline


def event(name: str, minute: int, **more: object) -> dict[str, object]:
    return {"messageId": name, "type": "page", "timestamp": f"2026-03-01T12:{minute:02}:00.000Z", **more}


def names(timeline: Timeline) -> list[object]:
    return [event["messageId"] for event in timeline.events]


LOG = [event("b", 2), event("c", 2), event("a", 1), event("d", 4)]


def test_newest_comes_first_and_of_one_instant_the_larger_id() -> None:
    assert names(read_timeline(LOG, TimelineQuery())) == ["d", "c", "b", "a"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_put_together_are_the_whole_whatever_comes_in_between(limit: int) -> None:
    log, query, found = list(LOG), TimelineQuery(limit), []
    for _ in range(10):
        page = read_timeline(log, query)
        found += names(page)
        if page.next_cursor is None:
            break
        query = parse_timeline_query({"limit": str(limit), "cursor": page.next_cursor})
        log.append(event(f"new-{len(log)}", 30 + len(log)))
    assert found == ["d", "c", "b", "a"]


def test_of_two_copies_the_newest_is_shown_on_one_page_alone() -> None:
    log = [event("b", 2), event("a", 5, userId="ada"), event("a", 1), event("c", 3)]
    first = read_timeline(log, TimelineQuery(2))
    assert (names(first), first.events[0]["userId"]) == (["a", "c"], "ada")
    assert first.next_cursor is not None
    assert names(read_timeline(log, parse_timeline_query({"cursor": first.next_cursor}))) == ["b"]


def test_a_log_that_ends_with_the_page_goes_on_nowhere() -> None:
    assert read_timeline(LOG, TimelineQuery(4)).next_cursor is None
    assert read_timeline([], TimelineQuery()) == Timeline([], None)


@pytest.mark.parametrize("limit", ["0", str(MOST_EVENTS + 1), "-1", "ten", "1.0", ""])
def test_a_limit_out_of_bounds_is_refused_by_name(limit: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"^limit: "):
        parse_timeline_query({"limit": limit})


@pytest.mark.parametrize("place", [None, [], ["x"], ["x", 1], [1, "x"], ["x", "y", "z"], {"x": "y"}, "xy"])
def test_no_other_text_is_a_cursor(place: object) -> None:
    with pytest.raises(InvalidQueryError, match=r"^cursor: "):
        parse_timeline_query({"cursor": write_cursor(place)})
