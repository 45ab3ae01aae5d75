"""The worked example as an alert: what `leadscore slack test` posts, and what the README's picture shows."""

from __future__ import annotations

from datetime import datetime, timedelta

from leadscore.core.alerts import Alert, AlertAccount, AlertedLead, AlertReason
from leadscore.core.instants import format_instant, from_datetime


def sample_alert(now: datetime, *, next_step: str, stage: str | None = None) -> Alert:
    """Return an alert about Grace Hopper of Acme, who has just started a trial; the same for equal arguments."""
    at = _ago(now, timedelta())
    lead = AlertedLead(
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
        score=53.0,
        previous_score=33.0,
        groups={"fit": 18.0, "engagement": 35.0, "product": 0.0},
        reasons=(
            AlertReason("free-trial", "Started a free trial", 20.0, _ago(now, timedelta(minutes=4))),
            AlertReason("pricing-page", "Visited the pricing page", 15.0, _ago(now, timedelta(hours=29))),
            AlertReason("executive", "Is an executive", 10.0),
        ),
        reason="entered hot",
        at=at,
        next_step=next_step,
        links={"lead": "https://crm.example/leads/user-1"},
    )
    return Alert(
        id=f"sample-{from_datetime(now)}",
        kind="alert",
        at=at,
        account=AlertAccount("acme", "Acme"),
        leads=(lead,),
        ruleset="sample",
        stage=stage,
    )


def _ago(now: datetime, age: timedelta) -> str:
    return format_instant(from_datetime(now - age))
