"""Events of others made ours: what Stripe, Auth0 or any source of the bus sends, translated by a mapping document.

    EventBridge envelope -> first mapping whose pattern matches -> JMESPath, field by field -> an event to normalise

Invariant: what no mapping matches is refused, and what a mapping leaves out on purpose says `ignore`: nothing is
dropped that the document does not name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from leadscore.core.documents import canonical_text, read_document
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.matcher import Matcher
from leadscore.core.patterns import Pattern, Problem, parse_pattern
from leadscore.core.sections import Section, open_section
from leadscore.normalising import InvalidEvent

# What an event may be given; the rest of it comes from the envelope.
EVENT_FIELDS = (
    "type", "messageId", "timestamp", "userId", "anonymousId", "groupId", "previousId", "event", "name",
    "properties", "traits", "context",
)  # fmt: skip
MAX_MAPPINGS = 200


class InvalidMappings(ValueError):
    """The document is no list of mappings; `errors` has every problem with its path, message and value."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(f"{error.path or 'mappings'}: {error.message}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One mapping: expressions by the field that they fill; `fields` None ignores what matches."""

    fields: Mapping[str, Any] | None

    def translate(self, envelope: Mapping[str, object]) -> dict[str, object] | None:
        """Return the event, not yet normalised, that it makes of a whole EventBridge event; None to ignore it.

        Raises InvalidEvent where an expression does not apply to the event.
        """
        if self.fields is None:
            return None
        try:
            found = {name: expression.search(envelope) for name, expression in self.fields.items()}
        except Exception:  # noqa: BLE001 - some of its functions check their arguments, others stumble over them
            # Without its cause, whose text repeats the value.
            raise InvalidEvent("unmappable_event", "an expression of its mapping does not apply to the event") from None
        event = {name: value for name, value in found.items() if value is not None}
        if isinstance(event.get("timestamp"), int | float):
            event["timestamp"] = _from_epoch(event["timestamp"])
        return event


class Mappings:
    """All mappings of a deployment, compiled; `document` is what they were made from, as canonical JSON."""

    def __init__(self, document: str, patterns: Sequence[Pattern], mappings: Sequence[EventMapping]) -> None:
        self.document = document
        self._matcher = Matcher(patterns)
        self._mappings = tuple(mappings)

    def find(self, envelope: Mapping[str, object]) -> EventMapping | None:
        """Return the first mapping that matches a whole EventBridge event, None where none does."""
        bits = self._matcher.match_bits(envelope)
        return self._mappings[(bits & -bits).bit_length() - 1] if bits else None


def parse_mappings(document: str) -> Mappings:
    """Return the mappings that a YAML or JSON text describes; raises InvalidMappings with every problem found."""
    problems: list[Problem] = []
    clean = read_document(document, problems)
    section = Section("mappings", clean, "", problems) if clean is not None else None
    listed = section.get("mappings") if section is not None and section.has("mappings") else None
    patterns: list[Pattern] = []
    mappings: list[EventMapping] = []
    if section is not None and not (isinstance(listed, list) and len(listed) <= MAX_MAPPINGS):
        section.reject("mappings", f"must be a list of at most {MAX_MAPPINGS} mappings")
    for place, entry in enumerate(listed if isinstance(listed, list) else ()):
        _parse_mapping(entry, f"mappings[{place}]", patterns, mappings, problems)
    if problems:
        raise InvalidMappings(problems)
    return Mappings(canonical_text(clean), patterns, mappings)


def _parse_mapping(
    entry: object, path: str, patterns: list[Pattern], mappings: list[EventMapping], problems: list[Problem]
) -> None:
    section = open_section("mapping", entry, path, problems)
    if section is None:
        return
    section.require("match")
    pattern = parse_pattern(section.get("match"), f"{path}.match", problems) if section.has("match") else None
    ignores = section.flag("ignore")
    if ignores == section.has("event"):
        section.report("must have either `event` or `ignore: true`")
        return
    fields = None if ignores else _parse_fields(section, problems)
    if pattern is not None:
        patterns.append(pattern)
        mappings.append(EventMapping(fields))


def _parse_fields(section: Section, problems: list[Problem]) -> dict[str, Any]:
    expressions = section.get("event")
    if not isinstance(expressions, dict) or "type" not in expressions:
        section.reject("event", "must be an object of JMESPath expressions by field, `type` among them")
        return {}
    fields: dict[str, Any] = {}
    for name, text in expressions.items():
        path = f"{section.place('event')}.{name}"
        if name not in EVENT_FIELDS:
            problems.append(Problem(path, f"unknown field; an event has {', '.join(EVENT_FIELDS)}", text))
            continue
        try:
            fields[name] = jmespath.compile(text if isinstance(text, str) else "")
        except JMESPathError:
            problems.append(Problem(path, "must be a JMESPath expression", text))
    return fields


def _from_epoch(seconds: float) -> str:
    try:
        return format_instant(from_datetime(datetime.fromtimestamp(seconds, UTC)))
    except (ValueError, OverflowError, OSError):
        raise InvalidEvent("unmappable_event", "its mapping gives a timestamp out of range") from None
