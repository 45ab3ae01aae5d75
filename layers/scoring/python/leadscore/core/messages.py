"""How a change reads: the subject and text for people, the JSON for machines, the attributes for filter policies.

All of it may contain personal data: send it, do not log it.
"""

from __future__ import annotations

import json

from leadscore.core.changes import Change, Person

# SNS takes fewer than 100 printable ASCII characters as an e-mail subject: docs.aws.amazon.com/sns, API Publish.
SUBJECT_CHARACTERS = 99


def subject_line(change: Change) -> str:
    """Return one line of at most 99 printable ASCII characters, as SNS demands of a subject."""
    line = f"{change.tier.capitalize()} lead: {display_name(change.person)}, score {change.score:.1f}"
    plain = "".join(character if " " <= character <= "~" else "?" for character in line)
    return plain if len(plain) <= SUBJECT_CHARACTERS else plain[: SUBJECT_CHARACTERS - 3] + "..."


def plain_text(change: Change) -> str:
    """Return the body of an e-mail: who, the score and what it was, the parts, the top reasons."""
    groups = "  ".join(f"{name} {points:.1f}" for name, points in change.groups.items())
    reasons = [f"  {reason['points']:+.1f}  {reason['label']}" for reason in change.reasons]
    lines = [
        f"{display_name(change.person)} is {change.tier} (was {change.previous_tier or 'new'}).",
        f"Score {change.score:.1f}, before {change.previous_score:.1f}.  {groups}",
        "",
        "Why:",
        *(reasons or ["  no criterion counts now"]),
        "",
        f"Lead {change.person['id']}, {change.at}, change {change.id}.",
    ]
    return "\n".join(lines)


def json_text(change: Change) -> str:
    """Return the change as one JSON object, for queues and functions."""
    return json.dumps(change.to_dict(), ensure_ascii=False, separators=(",", ":"))


def filter_attributes(change: Change) -> dict[str, str | float]:
    """Return what a subscription's filter policy can select by; empty values are left out, as SNS refuses them."""
    attributes: dict[str, str | float] = {
        "tier": change.tier,
        "previous_tier": change.previous_tier or "",
        "score": change.score,
        "fit": change.groups["fit"],
        "engagement": change.groups["engagement"],
    }
    return {name: value for name, value in attributes.items() if value != ""}


def display_name(person: Person) -> str:
    """Return the best name there is for a lead, with its company."""
    name = person["name"] or person["email"] or person["id"]
    return f"{name} ({person['company']})" if person["company"] else name
