"""One alert, as the desk would publish it, for tests to vary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leadscore.core.alerts import AccountMove, Alert, AlertAccount, AlertedLead, AlertKind, AlertReason
from leadscore.core.changes import Person
from leadscore.core.p_convert import CalibrationNote, CalibrationSample, CalibrationStatus, PConvert

LEAD = AlertedLead(
    person={
        "id": "user-1",
        "name": "Grace Hopper",
        "email": "grace@acme.example",
        "title": "VP Engineering",
        "company": "Acme",
    },
    owner="Eve Hill",
    source="web",
    tier="hot",
    previous_tier="warm",
    score=53.04,
    previous_score=33.0,
    groups={"fit": 18.0, "engagement": 35.04},
    reasons=(
        AlertReason("free-trial", "Started a free trial", 20.0, "2026-01-31T09:00:00.000Z"),
        AlertReason("webinar", "Attended a webinar", 5.0, "2026-01-01T12:00:00.000Z"),
        AlertReason("pricing-page", "Visited the pricing page", 15.04, "2026-01-29T12:00:00.000Z"),
        AlertReason("executive", "Is an executive", 10.0),
    ),
    reason="entered hot",
    at="2026-01-31T11:59:00.000Z",
    next_step="Write to grace@acme.example today.",
    links={"lead": "https://crm.example/leads/user-1"},
)
ALERT = Alert(
    id="0123456789abcdef01234567",
    kind="alert",
    at="2026-01-31T12:00:00.000Z",
    account=AlertAccount("acme", "Acme Corporation"),
    leads=(LEAD,),
    ruleset="abc123",
)


def about(alert: Alert = ALERT, **changes: Any) -> Alert:
    """Return the alert with other fields of its first lead."""
    return replace(alert, leads=(replace(alert.leads[0], **changes), *alert.leads[1:]))


def named(**person: str) -> Alert:
    """Return the alert about somebody else."""
    return about(person=person_of(**person))


def person_of(**fields: str) -> Person:
    """Return Grace Hopper with other fields."""
    return {**LEAD.person, **fields}  # type: ignore[typeddict-item]


def about_many(people: int, *, more: int = 0, **changes: Any) -> Alert:
    """Return an alert about so many listed people and so many counted ones."""
    leads = tuple(
        replace(LEAD, person=person_of(id=f"user-{place}", name=f"Person {place}"), score=90.0 - place)
        for place in range(people)
    )
    return replace(ALERT, leads=leads, more_leads=more, **changes)


MOVE = AccountMove(tier="hot", previous_tier="warm", score=71.0, previous_score=48.5, people=4)


def about_account(people: int = 2, kind: AlertKind = "account") -> Alert:
    """Return an alert about a hot account with so many of its people, or about hot people of it, too."""
    alert = about_many(people, kind=kind, account=AlertAccount("acme", "Acme Corporation", MOVE))
    if kind != "account":
        return alert
    warm = [replace(one, tier="warm", previous_tier="warm", score=40.0, previous_score=40.0) for one in alert.leads]
    return replace(alert, leads=tuple(warm))


def with_chances(alert: Alert, status: CalibrationStatus = "current") -> Alert:
    """Return the alert with a calibration, and with chances to convert where it is current."""
    sample = CalibrationSample("2026-01-02T03:04:05.000Z", 1200, 140, 30.0, "abc123")
    chance = PConvert(0.123, 0.0911, 0.164) if status == "current" else None
    leads = tuple(replace(lead, p_convert=chance) for lead in alert.leads)
    return replace(alert, leads=leads, calibration=CalibrationNote(status, None if status == "none" else sample))
