"""The digest: what became of leads since the one before, for one owner or for all, as one frozen value.

    changes of the time, how their leads stand now  --sort_out-->  each lead in one section  --compose-->  digests

Invariant: a lead is in one section at most, the first that it fits: who waits for an answer, who is new hot, who
cooled, who moved. Whoever is in an owner's digest is in the one for all; where there is nothing to say there is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from leadscore.core.changes import Change, Person
from leadscore.core.digest_policy import Round
from leadscore.core.instants import Millis, format_instant
from leadscore.core.ruleset import DISQUALIFIED
from leadscore.core.wording import one_line

DIGEST_SCHEMA = "leadscore.digest/1"
SectionName = Literal["waiting", "new_hot", "cooled", "movers"]
SECTIONS: tuple[SectionName, ...] = ("waiting", "new_hot", "cooled", "movers")
# The owner of the digest for all; a lead whose owner is called so has none.
EVERYBODY = "*"
# How many leads of a section are listed; the others are counted.
MOST_LISTED = 20
# A mover moved by so many points at least.
SMALLEST_MOVE = 1.0
# SNS takes no longer attribute of a filter policy, and nobody is called so.
_OWNER_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Raise:
    """A hand-raise that nobody has answered: when it was, and the name of its event."""

    at: Millis
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A lead as it stands now. `silent` is one that nobody is to be told of. Personal data: do not log."""

    person: Person
    owner: str | None
    tier: str
    score: float
    converted: bool = False
    silent: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestedLead:
    """One line of a digest. Personal data: do not log.

    Tier and score are of now; `previous_tier` and `previous_score` of before the first change, where there was one, and
    `moved` is by how many points the changes moved the score. `asked_at` and `event` are the hand-raise's.
    """

    person: Person
    owner: str | None
    tier: str
    previous_tier: str | None = None
    score: float
    previous_score: float | None = None
    moved: float = 0.0
    asked_at: str | None = None
    event: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The leads of which one thing is to be said; `more` is how many there are beside those listed."""

    name: SectionName
    leads: tuple[DigestedLead, ...]
    more: int = 0

    @property
    def count(self) -> int:
        """How many leads it is about."""
        return len(self.leads) + self.more


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What one owner, or everybody where `owner` is None, is told on one date; sections are never empty.

    `id` is the same on every repeat. `unread` is how many leads changed that there were too many to look at.
    """

    id: str
    date: str
    since: str
    until: str
    owner: str | None
    sections: tuple[Section, ...]
    ruleset: str
    stage: str | None = None
    unread: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the digest as plain JSON types; `stage` and `unread` are left out where they say nothing."""
        return {
            "schema": DIGEST_SCHEMA,
            "id": self.id,
            "date": self.date,
            "since": self.since,
            "until": self.until,
            **({} if self.stage is None else {"stage": self.stage}),
            "owner": self.owner,
            "sections": [
                {"name": section.name, "count": section.count, "leads": [_lead_dict(lead) for lead in section.leads]}
                for section in self.sections
            ],
            **({"unread": self.unread} if self.unread else {}),
            "ruleset": self.ruleset,
        }


Sorted = Mapping[SectionName, Sequence[DigestedLead]]


def sort_out(
    hot: Collection[str],
    changes: Mapping[str, Sequence[Change]],
    raised: Mapping[str, Raise],
    leads: Mapping[str, Subject],
) -> Sorted:
    """Return the leads of each section, first those to look at first.

    All three mappings are by lead; who is in `changes` or `raised` and not in `leads` is gone. `hot` are the tiers of
    hot leads, and `changes` are in any order.
    """
    found: dict[SectionName, list[DigestedLead]] = {name: [] for name in SECTIONS}
    for name, lead in sorted(leads.items()):
        line = _describe(lead, _in_order(changes.get(name, ())), raised.get(name))
        section = None if lead.silent else _section_of(hot, lead, line, changes.get(name, ()), raised.get(name))
        if section is not None:
            found[section].append(line)
    found["waiting"].sort(key=lambda line: line.asked_at or "")
    found["new_hot"].sort(key=lambda line: -line.score)
    found["cooled"].sort(key=lambda line: -line.score)
    found["movers"].sort(key=lambda line: -abs(line.moved))
    return found


def compose_digests(
    told: Sorted, current: Round, *, ruleset: str, stage: str | None = None, unread: int = 0
) -> list[Digest]:
    """Return the digest for all and then that of each owner, in the order of their names; none where nothing is told.

    `unread` is how many leads beside these have changed.
    """
    owners = sorted({line.owner for lines in told.values() for line in lines if line.owner is not None})
    digests = []
    for owner in (None, *owners):
        sections = tuple(_sections(told, owner))
        if not sections:
            continue
        digest = Digest(
            id=digest_id(current.date, owner),
            date=current.date,
            since=format_instant(current.since),
            until=format_instant(current.until),
            owner=owner,
            sections=sections,
            ruleset=ruleset,
            stage=stage,
            unread=unread if owner is None else 0,
        )
        digests.append(digest)
    return digests


def digest_id(date: str, owner: str | None) -> str:
    """Return the id of the digest of an owner on a date: 24 hex digits, the same on every repeat."""
    return hashlib.sha256(f"digest\n{date}\n{EVERYBODY if owner is None else owner}".encode()).hexdigest()[:24]


def owner_of(trait: str | None) -> str | None:
    """Return who the owner is that a lead's trait names, None where it names nobody."""
    name = one_line(trait or "", _OWNER_CHARACTERS)
    return None if name in ("", EVERYBODY) else name


def _sections(told: Sorted, owner: str | None) -> Iterable[Section]:
    for name in SECTIONS:
        lines = [line for line in told[name] if owner is None or line.owner == owner]
        if lines:
            yield Section(name, tuple(lines[:MOST_LISTED]), max(0, len(lines) - MOST_LISTED))


def _section_of(
    hot: Collection[str], lead: Subject, line: DigestedLead, changes: Sequence[Change], raised: Raise | None
) -> SectionName | None:
    if raised is not None and not lead.converted and lead.tier != DISQUALIFIED:
        return "waiting"
    was_hot = line.previous_tier in hot
    if changes and lead.tier in hot and not was_hot:
        return "new_hot"
    if lead.tier not in hot and (was_hot or any(change.tier in hot for change in changes)):
        return "cooled"
    return "movers" if abs(line.moved) >= SMALLEST_MOVE and lead.tier != DISQUALIFIED else None


def _describe(lead: Subject, changes: Sequence[Change], raised: Raise | None) -> DigestedLead:
    first, last = (changes[0], changes[-1]) if changes else (None, None)
    return DigestedLead(
        person=lead.person,
        owner=lead.owner,
        tier=lead.tier,
        previous_tier=None if first is None else first.previous_tier,
        score=lead.score,
        previous_score=None if first is None else first.previous_score,
        moved=0.0 if first is None or last is None else last.score - first.previous_score,
        asked_at=None if raised is None else format_instant(raised.at),
        event=None if raised is None else raised.event,
        link=lead.link,
    )


def _in_order(changes: Sequence[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: (change.at, change.revision, change.id))


def _lead_dict(lead: DigestedLead) -> dict[str, object]:
    return {
        "person": dict(lead.person),
        "owner": lead.owner,
        "tier": lead.tier,
        "previous_tier": lead.previous_tier,
        "score": lead.score,
        "previous_score": lead.previous_score,
        "moved": lead.moved,
        "asked_at": lead.asked_at,
        "event": lead.event,
        "link": lead.link,
    }
