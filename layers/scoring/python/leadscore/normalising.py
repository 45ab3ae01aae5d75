"""The edge of the core: one raw event, from an SDK or off the bus, becomes the one form that everything else takes.

Pure: the instant of receipt comes in as an argument. Invariants: the result is JSON whose numbers are finite and
whose text is Unicode, holds one identity at least, lies in the past of its receipt and is bounded in size and depth;
the same event sent again has the same `messageId`; a normalised event normalises to itself. Whatever cannot be made
so is refused by an InvalidEvent that names the field and the kind of problem, and never repeats what the field held.
"""

from __future__ import annotations

import json
from hashlib import sha256
from math import isfinite

from leadscore.core.identity import EXTERNAL_ID_LISTS, MAX_EXTERNAL_IDS
from leadscore.core.instants import Millis, format_instant, parse_instant

EVENT_TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias"})
# As the SDKs bound it: compact UTF-8 JSON of the event, without the instant of receipt that is added here.
MAX_EVENT_BYTES = 32 * 1024
MAX_DEPTH = 32
MAX_KEY_CHARACTERS = 256
MAX_ID_CHARACTERS = 256
# An id is part of an index key, of which DynamoDB takes 1,024 bytes.
MAX_ID_BYTES = 512
MAX_MESSAGE_ID_CHARACTERS = 100

_SEGMENT_FIELDS = frozenset({"messageId", "event", "properties", "traits"})
_ENVELOPE_FIELDS = frozenset(
    {"messageId", "userId", "anonymousId", "groupId", "timestamp", "originalTimestamp", "sentAt", "context"}
)
# What broken integrations send for "nobody"; taken at its word it would join strangers into one lead.
_NOBODY = frozenset({"null", "-1", "anonymous"})
# The largest double is below 2**1024: a longer integer could not be compared as one.
_MAX_INTEGER_BITS = 1023
# From here on JavaScript writes a number with an exponent, as Python does. An integer of Python's own stays exact.
_LEAST_WITH_EXPONENT = 1e21
_PLAIN_TYPES = frozenset({str, bool, type(None)})
# What a datetime can hold in UTC, less the second that the bus may cut off.
_FIRST_INSTANT = parse_instant("0001-01-01T00:00:00Z")
_LAST_INSTANT = parse_instant("9999-12-31T23:59:59Z")

NormalisedEvent = dict[str, object]


class InvalidEvent(ValueError):
    """An event that cannot be taken: `code` for machines, `message` for people, `path` of the offending field.

    None of the three contains anything that the sender wrote, so all may be answered and logged.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


class RepeatedKeys(dict[str, object]):
    """A JSON object in which a key stood twice; a decoder leaves it in place so that only its event is refused."""


def normalise_event(raw: object, *, received_at: Millis, default_type: str | None = None) -> NormalisedEvent:
    """Return the normalised form of one event in the Segment spec; `raw` is left as it was.

    `default_type` is the type that the request's path says; the event's own wins. Raises InvalidEvent.
    """
    fields = _as_object(raw)
    kind = _event_type(fields, default_type)
    event: NormalisedEvent = {"type": kind, **_identities(fields, kind), **_content(fields, kind)}
    event["timestamp"] = _event_time(fields, received_at)
    event["messageId"] = _message_id(fields, event)
    _check_size(event)
    event["receivedAt"] = format_instant(received_at)
    return event


def normalise_bus_event(envelope: object) -> NormalisedEvent:
    """Return the normalised form of a whole EventBridge event.

    From `app.<name>`, the detail is a Segment event, or else the properties of a `track` event that the detail-type
    names; from `aws.partner/segment.com/<id>` it is a Segment event of that type. A detail without a `messageId` has
    the envelope's id. Raises InvalidEvent, also for any other source.
    """
    outer = _as_object(envelope)
    source, detail_type = _required_text(outer, "source"), _required_text(outer, "detail-type")
    detail = outer.get("detail")
    if not isinstance(detail, dict):
        raise InvalidEvent("invalid_envelope", "detail is not an object", "detail")
    if source.startswith("aws.partner/segment.com/"):
        # Only the partner can write under this source, so its finer instant of receipt is as good as the envelope's.
        default_type = detail_type if detail_type in EVENT_TYPES else None
        return _off_the_bus(outer, detail, default_type, received=instant_in(detail, "receivedAt"))
    if source.startswith("app.") and source != "app.":
        return _off_the_bus(outer, _own_event(detail, detail_type))
    raise InvalidEvent("unknown_source", "source is not one that is normalised", "source")


def normalise_mapped_event(envelope: object, event: dict[str, object]) -> NormalisedEvent:
    """Return the normalised form of what a mapping made of a whole EventBridge event; raises InvalidEvent."""
    return _off_the_bus(_as_object(envelope), event)


def _off_the_bus(
    envelope: dict[str, object],
    event: dict[str, object],
    default_type: str | None = None,
    received: Millis | None = None,
) -> NormalisedEvent:
    arrived = instant_in(envelope, "time")
    if arrived is None:
        raise InvalidEvent("invalid_envelope", "time is missing", "time")
    arrived = arrived if received is None else min(received, arrived)
    dated = instant_in(event, "timestamp") is not None or instant_in(event, "originalTimestamp") is not None
    return normalise_event(
        {
            **event,
            "messageId": _given_message_id(event) or _required_text(envelope, "id"),
            "timestamp": event.get("timestamp") if dated else format_instant(arrived),
            "sentAt": event.get("sentAt") if dated else None,
        },
        received_at=arrived if instant_in(event, "sentAt") is not None else _end_of_second(arrived),
        default_type=default_type,
    )


def changes_nothing(event: NormalisedEvent) -> bool:
    """Return whether the normalised event says nothing at all: an alias of an identity to itself.

    A visitor's own id beside them is something said: it is joined to the user.
    """
    itself = event.get("userId")
    return event["type"] == "alias" and itself == event["previousId"] == event.get("anonymousId", itself)


def _as_object(raw: object) -> dict[str, object]:
    if isinstance(raw, RepeatedKeys):
        raise InvalidEvent("duplicate_keys", "the event has a key twice")
    if not isinstance(raw, dict):
        raise InvalidEvent("invalid_event", "the event is not an object")
    return raw


def _event_type(fields: dict[str, object], default_type: str | None) -> str:
    given = fields.get("type")
    kind = default_type if given is None or given == "" else given
    if not isinstance(kind, str) or kind not in EVENT_TYPES:
        raise InvalidEvent("unknown_type", f"type is none of {', '.join(sorted(EVENT_TYPES))}", "type")
    return kind


def _identities(fields: dict[str, object], kind: str) -> dict[str, object]:
    context = fields.get("context")
    found = {name: _identity(fields, name) for name in ("userId", "anonymousId", "groupId")}
    if found["groupId"] is None and isinstance(context, dict):
        found["groupId"] = _identity(context, "groupId", "context.groupId")
    if kind == "alias":
        found["previousId"] = _identity(fields, "previousId") or found["anonymousId"]
    for name in {"alias": ("userId", "previousId"), "group": ("groupId",)}.get(kind, ()):
        if found[name] is None:
            raise InvalidEvent("missing_id", f"{name} is missing or stands for nobody", name)
    if found["userId"] is None and found["anonymousId"] is None:
        raise InvalidEvent("missing_id", "userId and anonymousId are missing or stand for nobody", "userId")
    return {name: value for name, value in found.items() if value is not None}


def _identity(fields: dict[str, object], name: str, path: str | None = None) -> str | None:
    """Return the identity in a field, or None where it is absent or stands for nobody."""
    path = path or name
    value = fields.get(name)
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else _number_text(value, path)
    if not text.strip("0-") or text.lower() in _NOBODY:
        return None
    if len(text) > MAX_ID_CHARACTERS or len(text.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        raise InvalidEvent(
            "invalid_id", f"{path} is longer than {MAX_ID_CHARACTERS} characters or {MAX_ID_BYTES} bytes", path
        )
    return text


def _number_text(value: object, path: str) -> str:
    """Return the text that JavaScript would show for a number that was sent as an identity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidEvent("invalid_id", f"{path} is neither text nor a number", path)
    _check_number(value, path)
    is_whole = isinstance(value, int) or (value.is_integer() and abs(value) < _LEAST_WITH_EXPONENT)
    return str(int(value)) if is_whole else repr(value)


def _content(fields: dict[str, object], kind: str) -> dict[str, object]:
    """Return what the event says beside who and when; what is empty is left out."""
    found: dict[str, object] = {"properties": _object(fields, "properties"), **_context_and_traits(fields, kind)}
    if kind == "track":
        found["event"] = _text(fields, "event")
        if found["event"] is None:
            raise InvalidEvent("missing_field", "event is missing", "event")
    elif kind in {"page", "screen"}:
        # Some SDKs put a screen's name where a track event has its own, and a page's category beside its properties.
        found["name"] = _text(fields, "name") or _text(fields, "event")
        category = _text(fields, "category")
        if category is not None:
            found["properties"] = {"category": category, **_object(fields, "properties")}
    return {name: value for name, value in found.items() if value}


def _context_and_traits(fields: dict[str, object], kind: str) -> dict[str, object]:
    """Return `context` without its traits, and `traits`: those of the lead in `identify`, of the account in `group`.

    `context.traits` are always the lead's. Browser SDKs repeat them with every event, which says nothing new.
    """
    context = _with_usable_ids(_object(fields, "context"))
    traits = _object(fields, "traits") if kind in {"identify", "group"} else {}
    if kind == "identify":
        traits = {**_object(context, "traits", "context.traits"), **traits}
    context.pop("traits", None)
    return {"traits": traits, "context": context}


def _with_usable_ids(context: dict[str, object]) -> dict[str, object]:
    """Return a copy of a context in which each external id is a text that stands for somebody; others are left out.

    So are those behind the first 20: nothing reads them, and thousands could come with each event of a batch.
    """
    usable: dict[str, object] = {}
    for name in EXTERNAL_ID_LISTS:
        listed = context.get(name)
        if isinstance(listed, list):
            found = map(_with_usable_id, listed[:MAX_EXTERNAL_IDS])
            usable[name] = [entry for entry in found if entry is not None]
    return {**context, **usable}


def _with_usable_id(entry: object) -> object:
    """Return an entry with its id as text, None where it has none, and what is no entry at all as it is."""
    if not isinstance(entry, dict):
        return entry
    try:
        found = _identity(entry, "id")
    except InvalidEvent:
        # Not every ruleset takes external ids: one that cannot be used costs the event nothing else.
        return None
    return None if found is None else {**entry, "id": found}


def _object(fields: dict[str, object], name: str, path: str | None = None) -> dict[str, object]:
    path = path or name
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidEvent("invalid_field", f"{path} is not an object", path)
    _check_members(value, path)
    return value


def _text(fields: dict[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidEvent("invalid_field", f"{name} is not text", name)
    return value


def _required_text(envelope: dict[str, object], name: str) -> str:
    value = envelope.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidEvent("invalid_envelope", f"{name} is missing or not text", name)
    return value


def _event_time(fields: dict[str, object], received_at: Millis) -> str:
    """Return the instant of the event by the server's clock: what the sender's clock is off by is in `sentAt`.

    From an SDK that sends both, `timestamp` is what the caller said and `originalTimestamp` when the call was made. In
    what some server received before, `timestamp` is by that server's clock already.
    """
    timestamp, sent = instant_in(fields, "timestamp"), instant_in(fields, "sentAt")
    original = instant_in(fields, "originalTimestamp")
    by_sender = (timestamp, original) if fields.get("receivedAt") is None else (original, timestamp)
    said = next((at for at in by_sender if at is not None), None)
    if sent is not None and said is not None:
        happened = received_at - (sent - said)
    else:
        happened = next((at for at in (timestamp, original) if at is not None), received_at)
    try:
        return format_instant(min(happened, received_at))
    except OverflowError:
        raise InvalidEvent("invalid_timestamp", "timestamp is before the year 1", "timestamp") from None


def instant_in(fields: dict[str, object], name: str) -> Millis | None:
    """Return the instant that a field of an event says, or None where it is absent or empty; raises InvalidEvent."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    at = _parsed_instant(value) if isinstance(value, str) else None
    if at is None:
        raise InvalidEvent("invalid_timestamp", f"{name} is not an ISO 8601 instant", name)
    return at


def _parsed_instant(text: str) -> Millis | None:
    # Without its first hyphen a number of milliseconds could be read as a date of the 18th century.
    if text[4:5] != "-":
        return None
    try:
        at = parse_instant(text)
    except ValueError:
        return None
    return at if _FIRST_INSTANT <= at <= _LAST_INSTANT else None


def _end_of_second(instant: Millis) -> Millis:
    """Return the last millisecond of a whole second, where the bus has cut off the rest.

    Without it all events of one second would fall on one instant, and their order would be lost.
    """
    return instant + 999 if instant % 1000 == 0 else instant


def _message_id(fields: dict[str, object], event: NormalisedEvent) -> str:
    """Return the sender's id, or one made from the content: retries change `sentAt` only, so they share it."""
    given = _given_message_id(fields)
    if given is not None:
        return given
    times = [fields.get("originalTimestamp") or None, fields.get("timestamp") or None]
    content = {name: value for name, value in event.items() if name != "timestamp"}
    return _digest(json.dumps([content, times], sort_keys=True))


def _given_message_id(fields: dict[str, object]) -> str | None:
    value = fields.get("messageId")
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else _number_text(value, "messageId")
    return (_digest(text) if len(text) > MAX_MESSAGE_ID_CHARACTERS else text) or None


def _digest(text: str) -> str:
    return "sha256-" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _own_event(detail: dict[str, object], detail_type: str) -> dict[str, object]:
    """Return a service's detail as a Segment event.

    A `type` beside a field that only such events have makes it one even where the type is none of theirs: a mistyped
    type is then refused, not taken for a property. Any other detail is read as the content of a `track` event.
    """
    kind = detail.get("type")
    if isinstance(kind, str) and (kind in EVENT_TYPES or not _SEGMENT_FIELDS.isdisjoint(detail)):
        return detail
    own = {name: value for name, value in detail.items() if name in _ENVELOPE_FIELDS}
    rest = {name: value for name, value in detail.items() if name not in _ENVELOPE_FIELDS}
    return {**own, "type": "track", "event": detail_type, "properties": rest.get("properties", rest)}


def _check_members(root: dict[str, object], path: str) -> None:
    """Refuse what is nested too deep or is not JSON, level by level: a body of megabytes may be all brackets."""
    level: list[dict[str, object] | list[object]] = [root]
    for _ in range(MAX_DEPTH):
        deeper: list[dict[str, object] | list[object]] = []
        for node in level:
            if isinstance(node, dict):
                _check_keys(node, path)
            for member in node.values() if isinstance(node, dict) else node:
                if type(member) in _PLAIN_TYPES:
                    continue
                if isinstance(member, dict | list):
                    deeper.append(member)
                else:
                    _check_number(member, path)
        if not deeper:
            return
        level = deeper
    raise InvalidEvent("too_deep", f"{path} is nested more than {MAX_DEPTH} deep", path)


def _check_number(value: object, path: str) -> None:
    if isinstance(value, int):
        fits = value.bit_length() <= _MAX_INTEGER_BITS
    elif isinstance(value, float):
        fits = isfinite(value)
    else:
        raise InvalidEvent("invalid_field", f"{path} holds something that is not JSON", path)
    if not fits:
        raise InvalidEvent("invalid_number", f"{path} holds a number that is not a finite double", path)


def _check_keys(value: dict[str, object], path: str) -> None:
    if isinstance(value, RepeatedKeys):
        raise InvalidEvent("duplicate_keys", f"{path} has a key twice", path)
    for key in value:
        if len(key) > MAX_KEY_CHARACTERS:
            raise InvalidEvent("key_too_long", f"{path} has a key of over {MAX_KEY_CHARACTERS} characters", path)


def _check_size(event: NormalisedEvent) -> None:
    try:
        size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        raise InvalidEvent("invalid_text", "the event has text that is not valid Unicode") from None
    if size > MAX_EVENT_BYTES:
        raise InvalidEvent("event_too_large", f"the event is larger than {MAX_EVENT_BYTES} bytes")
