"""A digest as it goes out: a subject and a text for e-mail, JSON for queues and functions, attributes to filter by.

Invariant: a message that SNS takes whatever the traits say: the last ones of each section are counted instead of
listed where there are too many. All of it but the attribute `kind` may contain personal data.
"""

from __future__ import annotations

import json
from dataclasses import replace

from leadscore.core.alert_messages import MESSAGE_BYTES, SUBJECT_CHARACTERS
from leadscore.core.digest import EVERYBODY, Digest, DigestedLead, Section, SectionName
from leadscore.core.explaining import tell_age
from leadscore.core.instants import parse_instant
from leadscore.core.wording import name_person, one_line, tell_instant

_HEADINGS: dict[SectionName, tuple[str, str]] = {
    "waiting": ("Waiting for an answer", "waiting"),
    "new_hot": ("New hot", "new hot"),
    "cooled": ("Cooled", "cooled"),
    "movers": ("Biggest movers", "moved"),
}
KIND = "digest"


def subject_line(digest: Digest) -> str:
    """Return one line of at most 99 printable ASCII characters: `Leads on 2026-01-31: 2 waiting, 1 new hot`."""
    counts = (f"{section.count} {_HEADINGS[section.name][1]}" for section in digest.sections)
    return f"Leads on {digest.date}: {', '.join(counts)}"[:SUBJECT_CHARACTERS]


def plain_text(digest: Digest) -> str:
    """Return the body of an e-mail: a list for each section, each lead on a line."""
    whose = "Your leads" if digest.owner is not None else "All leads"
    lines = [f"{whose} since {tell_instant(digest.since)}, as they stand now."]
    for section in digest.sections:
        lines += ["", f"{_HEADINGS[section.name][0]} ({section.count}):"]
        lines += [f"  {_line(digest, section, lead)}" for lead in section.leads]
        lines += [f"  and {section.more} more"] if section.more else []
    if digest.unread:
        lines += ["", f"{digest.unread} more leads changed: too many to look at."]
    return "\n".join([*lines, "", f"Digest {digest.id}, {tell_instant(digest.until)}."])


def json_text(digest: Digest) -> str:
    """Return the digest as one JSON object of ASCII characters, for queues and functions."""
    return json.dumps(digest.to_dict(), separators=(",", ":"))


def fit_message(digest: Digest) -> Digest:
    """Return the digest with as many leads of each section listed as one message takes, and the others counted."""
    while _size(digest) > MESSAGE_BYTES and any(len(section.leads) > 1 for section in digest.sections):
        digest = replace(digest, sections=tuple(_shortened(section) for section in digest.sections))
    return digest


def filter_attributes(digest: Digest) -> dict[str, str]:
    """Return what a subscription's filter policy can select by: the owner, `*` of the digest for all, and `digest`."""
    return {"kind": KIND, "owner": EVERYBODY if digest.owner is None else digest.owner}


def _shortened(section: Section) -> Section:
    listed = max(1, len(section.leads) * 3 // 4)
    return replace(section, leads=section.leads[:listed], more=section.count - listed)


def _size(digest: Digest) -> int:
    """Return the bytes of both texts, each escaped once more as a part of SNS's own JSON."""
    return len(json.dumps(json_text(digest))) + len(json.dumps(plain_text(digest)))


def _line(digest: Digest, section: Section, lead: DigestedLead) -> str:
    parts = [f"{name_person(lead.person)}: {one_line(lead.tier, 40)}", _score(section, lead)]
    if section.name == "waiting" and lead.asked_at is not None:
        age = max(0, parse_instant(digest.until) - parse_instant(lead.asked_at))
        parts.append(f"asked {tell_age(age)} ({one_line(lead.event or '') or 'a request'})")
    if digest.owner is None:
        parts.append(f"owner {one_line(lead.owner or '') or 'nobody yet'}")
    if lead.link is not None:
        parts.append(lead.link)
    return ", ".join(parts)


def _score(section: Section, lead: DigestedLead) -> str:
    if section.name == "movers":
        return f"score {lead.score:.1f}, moved {lead.moved:+.1f}"
    before = "" if lead.previous_score is None else f" (was {lead.previous_score:.1f})"
    return f"score {lead.score:.1f}{before}"
