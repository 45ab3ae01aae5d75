"""Changes, leads and digests to test with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import leadscore
from leadscore.core.changes import Change, ChangeKind, Person
from leadscore.core.digest import Digest, Raise, Subject, compose_digests, sort_out
from leadscore.core.digest_messages import json_text
from leadscore.core.digest_policy import Round
from leadscore.core.instants import DAY, parse_instant

SCHEMA = json.loads(Path(leadscore.__file__).with_name("digest.schema.json").read_text())
UNTIL = parse_instant("2026-03-02T07:00:00Z")
TODAY = Round("2026-03-02", UNTIL - DAY, UNTIL)
HOT = frozenset({"hot"})


def person(lead: str, **traits: str) -> Person:
    known = {"name": "", "email": "", "title": "", "company": "", **traits}
    return Person(id=lead, name=known["name"], email=known["email"], title=known["title"], company=known["company"])


def change(step: tuple[str | None, float], to: tuple[str, float], number: int = 1, kind: ChangeKind = "tier") -> Change:
    """Return the `number`-th change of the day, from one tier and score to another."""
    return Change(
        id=f"c{number}",
        kind=kind,
        cause="events",
        at=f"2026-03-01T{8 + number:02}:00:00.000Z",
        person=person("of then"),
        tier=to[0],
        previous_tier=step[0],
        score=to[1],
        previous_score=step[1],
        groups={},
        reasons=[],
        alert="none",
        alert_reason="",
        ruleset="r1",
        revision=number,
    )


def subject(lead: str, tier: str, score: float, owner: str | None = None, **more: Any) -> Subject:
    return Subject(person=person(lead, name=lead.capitalize()), owner=owner, tier=tier, score=score, **more)


def digests(
    changes: Mapping[str, Sequence[Change]],
    leads: Mapping[str, Subject],
    raised: Mapping[str, Raise] | None = None,
    unread: int = 0,
) -> list[Digest]:
    told = sort_out(HOT, changes, raised or {}, leads)
    return compose_digests(told, TODAY, ruleset="r1", stage="test", unread=unread)


def listed(digest: Digest) -> dict[str, list[str]]:
    """Return the ids of the leads of each section."""
    return {section.name: [lead.person["id"] for lead in section.leads] for section in digest.sections}


def check(digest: Digest) -> None:
    """Hold what is published of a digest to its schema."""
    Draft202012Validator(SCHEMA).validate(json.loads(json_text(digest)))
