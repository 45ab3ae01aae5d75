"""Laws of the digest: nobody twice, nobody lost, nothing said where there is nothing to say."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.changes import Change
from leadscore.core.digest import MOST_LISTED, Raise, Subject
from leadscore.core.digest_messages import fit_message, plain_text, subject_line
from tests.unit.digests import UNTIL, change, check, digests, subject

TIERS = ("hot", "warm", "cold", "disqualified")
OWNERS = (None, "kim", "bo@company.example", "Ünïcödé")
scores = st.floats(0, 100).map(lambda score: round(score, 2))
standings = st.tuples(st.sampled_from(TIERS), scores)


@dataclass(frozen=True)
class Day:
    changes: Mapping[str, Sequence[Change]]
    leads: Mapping[str, Subject]
    raised: Mapping[str, Raise]


@st.composite
def days(draw: st.DrawFn) -> Day:
    names = [f"lead{number}" for number in range(draw(st.integers(0, 60)))]
    changes, leads, raised = {}, {}, {}
    for name in names:
        steps = draw(st.lists(standings, max_size=4))
        if len(steps) > 1:
            pairs = itertools.pairwise(steps)
            changes[name] = [change(before, after, number) for number, (before, after) in enumerate(pairs, 1)]
        tier, score = draw(standings)
        leads[name] = subject(
            name,
            tier,
            score,
            draw(st.sampled_from(OWNERS)),
            converted=draw(st.booleans()),
            silent=draw(st.booleans()) and draw(st.booleans()),
        )
        if draw(st.booleans()) and draw(st.booleans()):
            raised[name] = Raise(UNTIL - draw(st.integers(1, 10**8)), "Demo Requested")
    return Day(changes, leads, raised)


@given(days())
def test_each_lead_is_told_of_once_to_everybody_and_once_to_its_owner(day: Day) -> None:
    made = digests(day.changes, day.leads, day.raised)
    for digest in made:
        told = Counter(lead.person["id"] for section in digest.sections for lead in section.leads)
        assert set(told.values()) <= {1}
        assert all(digest.owner in (None, day.leads[name].owner) for name in told)
        assert all(section.count > 0 and len(section.leads) <= MOST_LISTED for section in digest.sections)
    if made:
        everybody, *owners = made
        assert everybody.owner is None
        counted = {
            section.name: sum(one.count for digest in owners for one in digest.sections if one.name == section.name)
            for section in everybody.sections
        }
        for section in everybody.sections:
            owned = [lead for lead in section.leads if lead.owner is not None]
            assert len(owned) <= counted[section.name] <= section.count
        for digest in owners:
            assert {section.name for section in digest.sections} <= {section.name for section in everybody.sections}


@given(days())
def test_nothing_is_sent_where_there_is_nothing_to_say(day: Day) -> None:
    made = digests(day.changes, day.leads, day.raised)
    assert all(digest.sections for digest in made)
    silent = {name: subject(name, lead.tier, lead.score, lead.owner, silent=True) for name, lead in day.leads.items()}
    assert digests(day.changes, silent, day.raised) == []
    assert digests({}, day.leads, {}) == []


@given(days())
def test_the_order_in_which_changes_are_read_says_nothing(day: Day) -> None:
    turned = {name: list(reversed(own)) for name, own in reversed(list(day.changes.items()))}
    leads = dict(reversed(list(day.leads.items())))
    assert digests(turned, leads, day.raised) == digests(day.changes, day.leads, day.raised)


@given(days())
def test_every_digest_is_a_message(day: Day) -> None:
    for digest in digests(day.changes, day.leads, day.raised):
        check(fit_message(digest))
        assert subject_line(digest).isascii()
        assert len(subject_line(digest)) < 100
        assert len(plain_text(digest).splitlines()) < 4 * (MOST_LISTED + 3) + 5
