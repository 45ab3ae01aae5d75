"""Each rule by which a raw event becomes a normalised one, and each way in which it is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from leadscore.core.identity import MAX_EXTERNAL_IDS
from leadscore.core.instants import parse_instant
from leadscore.normalising import (
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    InvalidEvent,
    RepeatedKeys,
    changes_nothing,
    normalise_bus_event,
    normalise_event,
)

RECEIVED = parse_instant("2026-03-01T12:00:00.250Z")


def normalised(raw: object, **options: Any) -> dict[str, Any]:
    return normalise_event(raw, received_at=RECEIVED, **options)


def track(**fields: object) -> dict[str, object]:
    return {"type": "track", "event": "Trial Started", "userId": "u1", "messageId": "m1", **fields}


def refusal(raw: object, **options: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        normalised(raw, **options)
    return caught.value


def test_an_sdk_event_keeps_what_it_says_and_loses_what_only_transport_needs() -> None:
    raw = {
        "type": "track",
        "event": "Trial Started",
        "userId": "u1",
        "anonymousId": None,
        "messageId": "m1",
        "timestamp": "2026-03-01T11:59:58.5+00:00",
        "properties": {"plan": "pro", "seats": 3, "coupon": None},
        "context": {"library": {"name": "analytics-python"}, "traits": {"email": "a@b.example"}},
        "integrations": {"All": True},
        "writeKey": "k",
        "channel": "server",
    }
    before = copy.deepcopy(raw)
    assert normalised(raw) == {
        "type": "track",
        "event": "Trial Started",
        "userId": "u1",
        "messageId": "m1",
        "timestamp": "2026-03-01T11:59:58.500Z",
        "receivedAt": "2026-03-01T12:00:00.250Z",
        "properties": {"plan": "pro", "seats": 3, "coupon": None},
        "context": {"library": {"name": "analytics-python"}},
    }
    assert raw == before


# Types


def test_the_type_in_the_body_wins_over_that_of_the_path() -> None:
    assert normalised(track(), default_type="page")["type"] == "track"
    assert normalised(track(type=None), default_type="track")["type"] == "track"


@pytest.mark.parametrize("kind", ["Track", "delete", 7, ["track"], {"a": 1}, None, ""])
def test_an_unknown_type_is_refused(kind: object) -> None:
    problem = refusal(track(type=kind))
    assert (problem.code, problem.path) == ("unknown_type", "type")


@pytest.mark.parametrize("raw", [None, 1, "text", [], [{"type": "track"}]])
def test_what_is_no_object_is_refused(raw: object) -> None:
    assert refusal(raw).code == "invalid_event"


@pytest.mark.parametrize("name", [None, ""])
def test_a_track_event_needs_its_name(name: object) -> None:
    assert (refusal(track(event=name)).code, refusal(track(event=name)).path) == ("missing_field", "event")
    assert refusal(track(event=5)).code == "invalid_field"


def test_a_screen_named_where_a_track_event_is_gets_its_name() -> None:
    assert normalised({"type": "screen", "event": "Home", "userId": "u1"})["name"] == "Home"
    both = normalised({"type": "page", "name": "Pricing", "event": "x", "userId": "u1"})
    assert both["name"] == "Pricing"
    assert "event" not in both


def test_a_page_category_joins_the_properties_and_does_not_win_over_theirs() -> None:
    page = {"type": "page", "userId": "u1", "category": "docs", "properties": {"path": "/a"}}
    assert normalised(page)["properties"] == {"category": "docs", "path": "/a"}
    assert normalised({**page, "properties": {"category": "own"}})["properties"] == {"category": "own"}


# Identities


@pytest.mark.parametrize("nobody", ["", "  ", None, "null", "NULL", "-1", -1, "anonymous", "0", "000", 0, 0.0])
def test_an_identity_that_stands_for_nobody_is_as_good_as_absent(nobody: object) -> None:
    kept = normalised(track(userId=nobody, anonymousId="a1"))
    assert "userId" not in kept
    assert kept["anonymousId"] == "a1"
    problem = refusal(track(userId=nobody, anonymousId="00000000-0000-0000-0000-000000000000"))
    assert (problem.code, problem.path) == ("missing_id", "userId")


@pytest.mark.parametrize(("sent", "kept"), [(42, "42"), (42.0, "42"), (1.5, "1.5"), (-7, "-7"), (" u9 ", "u9")])
def test_identities_become_text(sent: object, kept: str) -> None:
    assert normalised(track(userId=sent))["userId"] == kept


@pytest.mark.parametrize("wrong", [True, {"id": 1}, ["u1"], "x" * 257, 10**300])
def test_an_identity_of_no_usable_form_is_refused(wrong: object) -> None:
    problem = refusal(track(userId=wrong))
    assert (problem.code, problem.path) == ("invalid_id", "userId")


def test_an_identity_may_be_256_characters_long() -> None:
    assert normalised(track(userId="x" * 256))["userId"] == "x" * 256


def test_the_account_comes_from_group_id_or_else_from_the_context() -> None:
    context = {"groupId": "from-context"}
    assert normalised(track(groupId=5, context=context))["groupId"] == "5"
    assert normalised(track(groupId="null", context=context))["groupId"] == "from-context"
    assert "groupId" not in normalised(track())


def test_a_group_event_needs_its_account() -> None:
    problem = refusal({"type": "group", "userId": "u1", "groupId": "0"})
    assert (problem.code, problem.path) == ("missing_id", "groupId")


def test_an_alias_needs_both_identities_and_takes_the_visitor_for_the_former() -> None:
    assert normalised({"type": "alias", "userId": "u1", "anonymousId": "a1"})["previousId"] == "a1"
    assert refusal({"type": "alias", "userId": "u1"}).path == "previousId"
    assert refusal({"type": "alias", "previousId": "a1", "anonymousId": "a1"}).path == "userId"


@pytest.mark.parametrize("nobody", ["", None, "null", -1, "Anonymous", "00000000-0000-0000-0000-000000000000", 0])
def test_a_former_identity_that_stands_for_nobody_joins_nobody(nobody: object) -> None:
    alias = {"type": "alias", "userId": "u1", "previousId": nobody}
    assert normalised({**alias, "anonymousId": "a1"})["previousId"] == "a1"
    problem = refusal({**alias, "anonymousId": nobody})
    assert (problem.code, problem.path) == ("missing_id", "previousId")


def test_only_an_alias_has_a_former_identity() -> None:
    assert "previousId" not in normalised(track(previousId="a1"))


@pytest.mark.parametrize("field", ["externalIds", "externalId"])
def test_external_ids_become_text_and_keep_what_is_said_of_them(field: str) -> None:
    entry = {"type": "crm", "collection": "users", "encoding": "none"}
    event = normalised(track(context={field: [{**entry, "id": 42.0}, {**entry, "id": " x-1 "}], "ip": "192.0.2.1"}))
    assert event["context"] == {field: [{**entry, "id": "42"}, {**entry, "id": "x-1"}], "ip": "192.0.2.1"}


@pytest.mark.parametrize("field", ["externalIds", "externalId"])
@pytest.mark.parametrize("unusable", ["", " ", "null", "-1", "ANONYMOUS", "0000", 0, None, True, {}, ["x"], "x" * 257])
def test_an_external_id_that_cannot_stand_for_anybody_is_left_out_alone(field: str, unusable: object) -> None:
    entries: list[object] = [{"type": "crm", "id": "x-1"}, {"type": "crm", "id": unusable}, {"type": "crm"}]
    assert normalised(track(context={field: entries}))["context"] == {field: entries[:1]}


@pytest.mark.parametrize("field", ["externalIds", "externalId"])
def test_external_ids_that_nothing_would_read_are_left_out(field: str) -> None:
    entries = [{"type": "crm", "id": f"x-{place}"} for place in range(MAX_EXTERNAL_IDS + 1)]
    assert normalised(track(context={field: entries}))["context"] == {field: entries[:-1]}


@pytest.mark.parametrize("other", [["x-1", 7], "x-1", {"crm": "null"}, None])
def test_what_is_no_list_of_external_ids_stays_as_it_is(other: object) -> None:
    assert normalised(track(context={"externalIds": other}))["context"] == {"externalIds": other}


def test_an_event_with_external_ids_is_left_as_it_was() -> None:
    raw = track(context={"externalIds": [{"type": "crm", "id": 42}, {"type": "crm", "id": None}]})
    before = copy.deepcopy(raw)
    normalised(raw)
    assert raw == before


def test_an_alias_to_itself_changes_nothing() -> None:
    assert changes_nothing(normalised({"type": "alias", "userId": 7, "previousId": "7"}))
    assert changes_nothing(normalised({"type": "alias", "userId": "7", "previousId": "7", "anonymousId": 7}))
    assert not changes_nothing(normalised({"type": "alias", "userId": "7", "previousId": "a1"}))
    assert not changes_nothing(normalised({"type": "alias", "userId": "7", "previousId": "7", "anonymousId": "a1"}))
    assert not changes_nothing(normalised(track()))


# Traits


def test_identify_folds_the_traits_of_the_context_under_its_own() -> None:
    raw = {
        "type": "identify",
        "userId": "u1",
        "traits": {"title": "CEO", "phone": None},
        "context": {"traits": {"title": "Clerk", "phone": "1", "email": "a@b.example"}, "ip": "192.0.2.1"},
    }
    event = normalised(raw)
    assert event["traits"] == {"title": "CEO", "phone": None, "email": "a@b.example"}
    assert event["context"] == {"ip": "192.0.2.1"}


def test_traits_of_the_lead_do_not_become_traits_of_the_account() -> None:
    group = {"type": "group", "userId": "u1", "groupId": "g1", "traits": {"employees": 300}}
    event = normalised({**group, "context": {"traits": {"title": "CEO"}}})
    assert event["traits"] == {"employees": 300}
    assert "context" not in event


def test_traits_of_other_events_say_nothing_new() -> None:
    event = normalised(track(traits={"title": "CEO"}, context={"traits": {"title": "CEO"}, "ip": "192.0.2.1"}))
    assert "traits" not in event
    assert event["context"] == {"ip": "192.0.2.1"}


@pytest.mark.parametrize("field", ["properties", "traits", "context"])
def test_a_field_that_must_be_an_object_is_refused_as_anything_else(field: str) -> None:
    problem = refusal({"type": "identify", "userId": "u1", field: ["x"]})
    assert (problem.code, problem.path) == ("invalid_field", field)


# Time


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, "2026-03-01T12:00:00.250Z", id="no timestamp: the receipt"),
        pytest.param({"sentAt": "2026-03-01T11:00:00Z"}, "2026-03-01T12:00:00.250Z", id="sentAt alone says nothing"),
        pytest.param({"timestamp": "1969-07-20T20:17:40Z"}, "1969-07-20T20:17:40.000Z", id="long ago"),
        pytest.param({"timestamp": "2026-03-01T13:00:00+02:00"}, "2026-03-01T11:00:00.000Z", id="zone"),
        pytest.param({"timestamp": "2026-02-28"}, "2026-02-28T00:00:00.000Z", id="a day, without a zone: UTC"),
        pytest.param({"timestamp": "2026-03-01T11:00:00.1239999Z"}, "2026-03-01T11:00:00.123Z", id="cut to ms"),
        pytest.param({"timestamp": "2026-03-02T00:00:00Z"}, "2026-03-01T12:00:00.250Z", id="never in the future"),
        pytest.param(
            {"timestamp": "2026-03-01T18:59:50Z", "sentAt": "2026-03-01T19:00:00Z"},
            "2026-03-01T11:59:50.250Z",
            id="a clock 7 h ahead: 10 s before the receipt",
        ),
        pytest.param(
            {
                "originalTimestamp": "2026-03-01T18:59:50Z",
                "sentAt": "2026-03-01T19:00:00Z",
                "timestamp": "2026-03-01T17:00:00Z",
            },
            "2026-03-01T10:00:00.250Z",
            id="what the caller said before when it said so",
        ),
        pytest.param(
            {
                "originalTimestamp": "2026-03-01T18:59:50Z",
                "sentAt": "2026-03-01T19:00:00Z",
                "timestamp": "2026-03-01T11:00:00Z",
                "receivedAt": "2026-03-01T11:00:10Z",
            },
            "2026-03-01T11:59:50.250Z",
            id="received before: originalTimestamp before timestamp",
        ),
        pytest.param(
            {"originalTimestamp": "2026-03-01T10:00:00Z", "timestamp": "2026-03-01T11:00:00Z"},
            "2026-03-01T11:00:00.000Z",
            id="without sentAt: timestamp",
        ),
        pytest.param({"originalTimestamp": "2026-03-01T10:00:00Z"}, "2026-03-01T10:00:00.000Z", id="original alone"),
        pytest.param(
            {"timestamp": "2026-03-01T19:00:10Z", "sentAt": "2026-03-01T19:00:00Z"},
            "2026-03-01T12:00:00.250Z",
            id="sent before it happened",
        ),
    ],
)
def test_event_time(fields: dict[str, object], expected: str) -> None:
    event = normalised(track(**fields))
    assert event["timestamp"] == expected
    assert event["receivedAt"] == "2026-03-01T12:00:00.250Z"


def test_an_sdk_cannot_say_when_it_was_received() -> None:
    assert normalised(track(receivedAt="2020-01-01T00:00:00Z"))["receivedAt"] == "2026-03-01T12:00:00.250Z"


@pytest.mark.parametrize("field", ["timestamp", "originalTimestamp", "sentAt"])
@pytest.mark.parametrize(
    "wrong", ["yesterday", 1769860800, True, {}, "2026-13-01T00:00:00Z", "1712121600000", "0001-01-01T00:00:00+01:00"]
)
def test_a_time_that_cannot_be_read_is_refused(field: str, wrong: object) -> None:
    problem = refusal(track(**{field: wrong}))
    assert (problem.code, problem.path) == ("invalid_timestamp", field)


def test_an_event_that_a_wrong_clock_puts_before_the_year_1_is_refused() -> None:
    wrong_clock = track(timestamp="0001-01-01T00:00:00Z", sentAt="9999-12-31T00:00:00Z")
    assert refusal(wrong_clock).code == "invalid_timestamp"


# Message ids


def test_a_message_id_of_100_characters_is_kept_and_a_longer_one_is_digested() -> None:
    assert normalised(track(messageId="m" * 100))["messageId"] == "m" * 100
    assert normalised(track(messageId=17))["messageId"] == "17"
    long_ids = [normalised(track(messageId="m" * 101 + end))["messageId"] for end in "aab"]
    assert long_ids[0] == long_ids[1] != long_ids[2]
    assert all(len(found) <= 100 for found in long_ids)


@pytest.mark.parametrize("missing", [None, "", " "])
def test_without_a_message_id_a_retry_has_the_id_of_the_first_attempt(missing: object) -> None:
    first = track(messageId=missing, timestamp="2026-03-01T11:00:00Z", sentAt="2026-03-01T11:00:01Z")
    retry = {**first, "sentAt": "2026-03-01T11:05:01Z", "receivedAt": "2026-03-01T11:05:01Z"}
    later = normalise_event(retry, received_at=RECEIVED + 301_000)
    assert str(later["messageId"]).startswith("sha256-")
    assert normalised(first)["messageId"] == later["messageId"]


@pytest.mark.parametrize(
    "other",
    [
        {"event": "Other"},
        {"userId": "u2"},
        {"properties": {"plan": "pro"}},
        {"timestamp": "2026-03-01T11:00:00.001Z"},
        {"context": {"ip": "192.0.2.1"}},
    ],
)
def test_without_a_message_id_another_event_has_another(other: dict[str, object]) -> None:
    first = track(messageId=None, timestamp="2026-03-01T11:00:00Z")
    assert normalised(first)["messageId"] != normalised({**first, **other})["messageId"]


def test_a_message_id_that_is_an_object_is_refused() -> None:
    assert (refusal(track(messageId={})).code, refusal(track(messageId={})).path) == ("invalid_id", "messageId")


# Bounds


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = {"k": value} if (depth - level) % 2 else [value]
    return value


def test_depth_is_bounded() -> None:
    assert normalised(track(properties=nested(MAX_DEPTH)))["properties"] == nested(MAX_DEPTH)
    assert refusal(track(properties={"k": nested(MAX_DEPTH)})).code == "too_deep"


def test_size_is_bounded_as_sdks_bound_it() -> None:
    room = MAX_EVENT_BYTES - len(
        json.dumps(track(timestamp="2026-03-01T11:00:00.000Z", properties={"x": ""}), separators=(",", ":"))
    )
    fits = track(timestamp="2026-03-01T11:00:00.000Z", properties={"x": "e" * room})
    assert normalised(fits)["properties"] == {"x": "e" * room}
    fits["properties"] = {"x": "é" * (room // 2 + 1)}
    assert refusal(fits).code == "event_too_large"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (42, "42"),
        (42.0, "42"),
        (1.5, "1.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (7.123713023666053e307, "7.123713023666053e+307"),
        # Of an integer no digit is lost, however many it has.
        (10**30 + 1, "1000000000000000000000000000001"),
    ],
)
def test_a_number_is_the_text_that_javascript_shows(number: float, text: str) -> None:
    assert normalise_event(track(userId=number), received_at=RECEIVED)["userId"] == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 2**1024])
def test_a_number_beyond_a_double_is_refused(number: object) -> None:
    problem = refusal(track(properties={"a": [{"b": number}]}))
    assert (problem.code, problem.path) == ("invalid_number", "properties")
    assert refusal(track(userId=number)).code == "invalid_number"


@pytest.mark.parametrize(
    "fields", [{"properties": {"a": "\ud800"}}, {"properties": {"\udfff": 1}}, {"userId": "\ud800"}]
)
def test_half_a_character_is_refused(fields: dict[str, object]) -> None:
    assert refusal(track(**fields)).code == "invalid_text"


def test_keys_are_bounded_and_must_not_repeat() -> None:
    assert refusal(track(properties={"a": {"k" * 257: 1}})).code == "key_too_long"
    assert refusal(track(properties={"a": [RepeatedKeys(b=1)]})).code == "duplicate_keys"
    assert refusal(RepeatedKeys(track())).code == "duplicate_keys"


def test_a_value_that_json_does_not_have_is_refused() -> None:
    assert refusal(track(properties={"a": {1, 2}})).code == "invalid_field"


def test_keys_that_trouble_other_languages_are_plain_keys_here() -> None:
    hostile = {"__proto__": {"admin": True}, "constructor": 1, "__class__": 2}
    assert normalised(track(properties=hostile))["properties"] == hostile


@pytest.mark.parametrize(
    "raw",
    [
        track(type="SECRET"),
        track(userId={"a": "SECRET"}),
        track(timestamp="SECRET"),
        track(properties={"SECRET" * 50: "SECRET"}),
        track(properties={"SECRET": ["SECRET", float("nan")]}),
        track(properties="SECRET"),
    ],
)
def test_a_refusal_repeats_nothing_of_the_event(raw: object) -> None:
    problem = refusal(raw)
    assert "SECRET" not in problem.code + problem.message + problem.path + str(problem)


# The bus


def envelope(**fields: object) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Trial Started",
        "source": "app.billing",
        "account": "111122223333",
        "time": "2026-03-01T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"userId": "u1", "plan": "pro"},
        **fields,
    }


def bus_refusal(raw: object) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        normalise_bus_event(raw)
    return caught.value


def test_a_plain_detail_is_a_track_event_named_by_the_detail_type() -> None:
    assert normalise_bus_event(envelope()) == {
        "type": "track",
        "event": "Trial Started",
        "userId": "u1",
        "messageId": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "receivedAt": "2026-03-01T12:00:00.999Z",
        "properties": {"plan": "pro"},
    }


def test_a_plain_detail_may_keep_its_properties_apart() -> None:
    detail = {"userId": 7, "anonymousId": "a1", "groupId": "g1", "properties": {"plan": "pro"}, "messageId": "own"}
    event = normalise_bus_event(envelope(detail=detail))
    assert event["properties"] == {"plan": "pro"}
    assert (event["userId"], event["anonymousId"], event["groupId"], event["messageId"]) == ("7", "a1", "g1", "own")


def test_a_plain_detail_may_have_a_type_of_its_own() -> None:
    event = normalise_bus_event(envelope(detail={"userId": "u1", "type": "yearly"}))
    assert (event["event"], event["properties"]) == ("Trial Started", {"type": "yearly"})


def test_a_segment_event_as_detail_is_itself() -> None:
    detail = {"type": "identify", "userId": "u1", "traits": {"title": "CEO"}, "timestamp": "2026-03-01T11:00:00Z"}
    event = normalise_bus_event(envelope(detail=detail))
    assert (event["type"], event["traits"], event["timestamp"]) == (
        "identify",
        {"title": "CEO"},
        "2026-03-01T11:00:00.000Z",
    )


def test_a_segment_event_with_a_mistyped_type_is_refused_and_not_read_as_something_else() -> None:
    detail = {"type": "trak", "event": "Trial Started", "userId": "u1"}
    assert bus_refusal(envelope(detail=detail)).code == "unknown_type"


def test_events_of_one_second_keep_their_order_although_the_bus_cuts_its_time() -> None:
    details = [track(messageId=None, timestamp=f"2026-03-01T12:00:00.{ms}Z") for ms in (100, 900)]
    times = [normalise_bus_event(envelope(detail=detail))["timestamp"] for detail in details]
    assert times == ["2026-03-01T12:00:00.100Z", "2026-03-01T12:00:00.900Z"]


def test_a_clock_that_is_off_is_corrected_on_the_bus_too() -> None:
    detail = track(originalTimestamp="2026-03-01T19:00:00Z", sentAt="2026-03-01T19:00:10Z")
    assert normalise_bus_event(envelope(detail=detail))["timestamp"] == "2026-03-01T11:59:50.000Z"


def test_segments_partner_source_is_read_by_its_own_instant_of_receipt() -> None:
    recorded = {
        "type": "track",
        "event": "Trial Started",
        "userId": "u1",
        "messageId": "ajs-1",
        "originalTimestamp": "2026-02-01T19:00:00.000Z",
        "sentAt": "2026-02-01T19:00:10.000Z",
        "receivedAt": "2026-02-01T12:00:10.500Z",
        "timestamp": "2026-02-01T12:00:00.500Z",
        "properties": {},
        "projectId": "p1",
        "version": 2,
    }
    partner = envelope(source="aws.partner/segment.com/p1", **{"detail-type": "track"}, detail=recorded)
    event = normalise_bus_event(partner)
    assert (event["timestamp"], event["receivedAt"]) == ("2026-02-01T12:00:00.500Z", "2026-02-01T12:00:10.500Z")
    assert event["messageId"] == "ajs-1"


def test_segments_partner_source_may_leave_the_type_to_the_detail_type() -> None:
    detail = {"userId": "u1", "traits": {"title": "CEO"}}
    partner = envelope(source="aws.partner/segment.com/p1", **{"detail-type": "identify"}, detail=detail)
    assert normalise_bus_event(partner)["type"] == "identify"


@pytest.mark.parametrize("source", ["aws.s3", "app.", "application", "aws.partner/stripe.com/x", "leadscore"])
def test_another_source_is_refused(source: str) -> None:
    assert bus_refusal(envelope(source=source)).code == "unknown_source"


@pytest.mark.parametrize("field", ["source", "detail-type", "detail", "time", "id"])
def test_an_envelope_that_lacks_something_is_refused(field: str) -> None:
    problem = bus_refusal({name: value for name, value in envelope().items() if name != field})
    assert (problem.code, problem.path) == ("invalid_envelope", field)


@pytest.mark.parametrize("raw", [None, [], "text", {}])
def test_what_is_no_envelope_is_refused(raw: object) -> None:
    assert bus_refusal(raw).code in {"invalid_event", "invalid_envelope"}


def test_a_bus_event_without_anybody_is_refused() -> None:
    assert bus_refusal(envelope(detail={"plan": "pro"})).code == "missing_id"


def test_a_bus_event_of_an_unreadable_time_is_refused() -> None:
    assert bus_refusal(envelope(time="noon")).code == "invalid_timestamp"
    assert bus_refusal(envelope(detail={"userId": "u1", "timestamp": "noon"})).code == "invalid_timestamp"
