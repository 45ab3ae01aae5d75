"""For all that people can type: Slack takes the message, it mentions nobody, and says what was typed."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.alerts import AccountMove, Alert, AlertAccount, AlertedLead, AlertKind, AlertReason
from leadscore.core.changes import Person
from leadscore.core.slack_message import escape, slack_message
from leadscore.core.wording import one_line
from tests.slack_rules import check_message, is_escaped, shown
from tests.unit.alerts import ALERT, LEAD

TYPED = st.text(st.characters(codec=None) | st.sampled_from("<>&!@#|*\n\u202e;ltgamp"), max_size=300)
KINDS: tuple[AlertKind, ...] = ("alert", "follow_up", "account")
POINTS = st.floats(-1e6, 1e6)


@st.composite
def leads(draw: st.DrawFn) -> AlertedLead:
    return replace(
        LEAD,
        person=cast(Person, {name: draw(TYPED) for name in LEAD.person}),
        owner=draw(st.none() | TYPED),
        source=draw(st.none() | TYPED),
        cause=draw(st.sampled_from(["tier", "hand_raise"])),
        event=draw(st.none() | TYPED),
        tier=draw(TYPED.filter(bool)),
        score=draw(POINTS),
        previous_score=draw(POINTS),
        groups={"fit": draw(POINTS), "engagement": draw(POINTS), **draw(st.dictionaries(TYPED, POINTS, max_size=3))},
        reasons=tuple(
            AlertReason(draw(TYPED), draw(TYPED), draw(POINTS), draw(st.sampled_from([None, ALERT.at])))
            for _ in range(draw(st.integers(0, 4)))
        ),
        next_step=draw(TYPED),
        links=draw(st.dictionaries(TYPED, TYPED | st.just("https://crm.example/lead?id=1"), max_size=7)),
    )


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    kind = draw(st.sampled_from(KINDS))
    move = AccountMove(draw(TYPED.filter(bool)), draw(TYPED), draw(POINTS), draw(POINTS), draw(st.integers(0, 1000)))
    moves = move if kind == "account" or draw(st.booleans()) else None
    named = kind == "account" or draw(st.booleans())
    account = AlertAccount(draw(TYPED.filter(bool)), draw(TYPED), moves) if named else None
    people = tuple(draw(leads()) for _ in range(draw(st.integers(1, 3))))
    people *= draw(st.sampled_from([1, 1, 30]))
    return replace(
        ALERT,
        kind=kind,
        account=account,
        leads=people,
        more_leads=draw(st.integers(0, 3)),
        stage=draw(st.none() | TYPED),
    )


@given(alerts())
def test_slack_takes_every_alert_and_nobody_is_mentioned(alert: Alert) -> None:
    check_message(slack_message(alert))


@given(TYPED)
def test_escaping_shows_the_text_and_nothing_else(text: str) -> None:
    assert is_escaped(escape(text))
    assert shown(escape(text)) == text


@given(TYPED, st.integers(1, 50))
def test_one_line_is_one_and_short(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1
    line.encode()
