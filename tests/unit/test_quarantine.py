"""What the document says must not count, and how one event is judged by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leadscore.edge import Edge
from leadscore.quarantine import Burst, InvalidQuarantine, Quarantine, Reason, parse_quarantine
from tests.unit.test_user_agents import CRAWLERS, PEOPLE, SCANNERS, SERVERS, UNUSUAL_PEOPLE

SHIPPED = (Path(__file__).parents[2] / "infra" / "quarantine.yaml").read_text(encoding="utf-8")
PERSON, BOT, SCANNER = PEOPLE[0], CRAWLERS[0], SCANNERS[0]
FULL = """
bots: true
user_agents: {block: [Acme-Monitor], allow: [googlebot]}
internal: {domains: [Acme.example, beta.example], ips: [203.0.113.0/24, 2001:db8::/32, 192.0.2.7]}
bursts: {events: 50, within: 1m}
"""


def make(**document: Any) -> Quarantine:
    return parse_quarantine(json.dumps(document))


def event(kind: str = "page", **more: object) -> dict[str, object]:
    return {"messageId": "m1", "type": kind, "timestamp": "2026-03-01T12:00:00.000Z", "userId": "ada", **more}


def from_browser(agent: str) -> dict[str, object]:
    return event(context={"userAgent": agent})


def test_the_shipped_document_judges_bots_and_bursts_alone() -> None:
    shipped = parse_quarantine(SHIPPED)
    assert (shipped.bots, shipped.burst) == (True, Burst(100, 10_000))
    assert (shipped.blocked, shipped.allowed, shipped.domains, shipped.networks) == ((), (), frozenset(), ())


def test_a_document_is_read_whole_and_means_the_same_as_its_canonical_text() -> None:
    parsed = parse_quarantine(FULL)
    assert (parsed.blocked, parsed.allowed) == (("acme-monitor",), ("googlebot",))
    assert parsed.domains == {"acme.example", "beta.example"}
    assert list(map(str, parsed.networks)) == ["203.0.113.0/24", "2001:db8::/32", "192.0.2.7/32"]
    assert parsed.burst == Burst(50, 60_000)
    assert parse_quarantine(parsed.document) == parsed
    assert parsed.document == json.dumps(json.loads(parsed.document), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("document", ["{}", '{"bursts": null, "internal": null, "user_agents": {}}'])
def test_what_is_not_named_is_not_judged(document: str) -> None:
    nothing = parse_quarantine(document)
    assert nothing.burst is None
    worst = event("identify", traits={"email": "a@acme.example"}, context={"userAgent": BOT, "ip": "203.0.113.1"})
    assert nothing.judge(worst, Edge("203.0.113.1", BOT, prefetch=True)) is None


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ("[]", {"": "object"}),
        ("bots: [", {"": "YAML"}),
        ("bot: true", {"bot": "did you mean `bots`"}),
        ("bots: 1", {"bots": "true or false"}),
        ("user_agents: [bot]", {"user_agents": "object"}),
        ("user_agents: {block: bot}", {"user_agents.block": "list"}),
        (
            "user_agents: {block: [ab], allow: [Chrome, 5]}",
            {"user_agents.block[0]": "3 characters", "user_agents.allow[1]": "3 characters"},
        ),
        (
            "internal: {domains: ['@acme.example', acme, a..b, 'acme .example', 10.0.0.1]}",
            {f"internal.domains[{place}]": "domain" for place in range(5)},
        ),
        (
            "internal: {ips: [203.0.113.7/24, 300.0.0.1, office, 7]}",
            {f"internal.ips[{place}]": "203.0.113.0/24" for place in range(4)},
        ),
        ("bursts: {events: 9, within: 10s}", {"bursts.events": "from 10 to 1000"}),
        ("bursts: {events: 1001, within: 10s}", {"bursts.events": "from 10 to 1000"}),
        ("bursts: {events: 100}", {"bursts.within": "required"}),
        ("bursts: {events: 100, within: 2h}", {"bursts.within": "1s up to 1h"}),
        ("bursts: {events: 100, within: soon}", {"bursts.within": "duration"}),
        ("bursts: 100", {"bursts": "object"}),
        ("bots: 2\nbursts: {evnts: 5}", {"bots": "true", "bursts.evnts": "`events`", "bursts.events": "required"}),
    ],
)
def test_every_problem_is_named_with_its_path_and_value(document: str, problems: dict[str, str]) -> None:
    with pytest.raises(InvalidQuarantine) as caught:
        parse_quarantine(document)
    found = {error.path: error.message for error in caught.value.errors}
    assert problems.keys() <= found.keys()
    assert all(words in found[path] for path, words in problems.items())
    assert all(f"{path or 'quarantine'}: " in str(caught.value) for path in problems)


def test_a_problem_has_the_value_that_was_found() -> None:
    with pytest.raises(InvalidQuarantine) as caught:
        parse_quarantine("internal: {ips: [203.0.113.7/24]}")
    assert [error.value for error in caught.value.errors] == ["203.0.113.7/24"]


@pytest.mark.parametrize("agent", CRAWLERS)
def test_a_crawler_is_a_bot(agent: str) -> None:
    assert make(bots=True).judge(from_browser(agent), Edge()) is Reason.BOT


@pytest.mark.parametrize("agent", SCANNERS)
def test_a_scanner_of_links_is_told_from_other_bots(agent: str) -> None:
    assert make(bots=True).judge(from_browser(agent), Edge()) is Reason.LINK_SCANNER


@pytest.mark.parametrize("agent", [*PEOPLE, *UNUSUAL_PEOPLE, *SERVERS])
def test_people_and_servers_count(agent: str) -> None:
    assert parse_quarantine(FULL).judge(from_browser(agent), Edge("198.51.100.1", agent)) is None


def test_the_agent_that_the_event_tells_is_judged_before_the_requests() -> None:
    rules = make(bots=True)
    assert rules.judge(from_browser(PERSON), Edge(user_agent=BOT)) is None
    assert rules.judge(event(), Edge(user_agent=BOT)) is Reason.BOT
    assert rules.judge(event(context={"userAgent": ""}), Edge(user_agent=BOT)) is Reason.BOT


@pytest.mark.parametrize("context", [None, "context", {"userAgent": 5}, {"userAgent": {"is": "Googlebot/"}}])
def test_a_context_of_no_use_is_no_bot(context: object) -> None:
    assert make(bots=True, internal={"ips": ["10.0.0.0/8"]}).judge(event(context=context), Edge()) is None


def test_names_that_are_blocked_or_allowed_are_found_in_any_case() -> None:
    rules = make(bots=True, user_agents={"block": ["acme-Monitor"], "allow": ["GOOGLEBOT", "acme-monitor/2"]})
    assert rules.judge(from_browser(f"{PERSON} Acme-Monitor/1"), Edge()) is Reason.BOT
    assert rules.judge(from_browser(f"{PERSON} Acme-Monitor/2"), Edge()) is None
    assert rules.judge(from_browser(BOT), Edge()) is None
    assert rules.judge(from_browser(CRAWLERS[1]), Edge()) is Reason.BOT


def test_what_is_blocked_is_so_where_known_bots_are_not() -> None:
    rules = make(user_agents={"block": ["monitor"]})
    assert rules.judge(from_browser(BOT), Edge()) is None
    assert rules.judge(from_browser(f"{PERSON} Monitor"), Edge()) is Reason.BOT


def test_a_page_that_is_loaded_ahead_of_time_does_not_count() -> None:
    assert make(bots=True).judge(from_browser(PERSON), Edge(prefetch=True)) is Reason.PREFETCH
    assert make(bots=False).judge(from_browser(PERSON), Edge(prefetch=True)) is None


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ada@acme.example", Reason.INTERNAL_DOMAIN),
        (" Ada@ACME.Example ", Reason.INTERNAL_DOMAIN),
        ("ada@eu.acme.example", Reason.INTERNAL_DOMAIN),
        ('"odd@home"@acme.example', Reason.INTERNAL_DOMAIN),
        ("ada@notacme.example", None),
        ("ada@acme.example.org", None),
        ("ada@acme.example@home.example", None),
        ("acme.example", None),
        (["ada@acme.example"], None),
        (None, None),
    ],
)
def test_our_own_people_are_told_by_their_address(email: object, reason: Reason | None) -> None:
    rules = make(internal={"domains": ["acme.example"]})
    assert rules.judge(event("identify", traits={"email": email}), Edge()) is reason


@pytest.mark.parametrize("field", ["userId", "anonymousId", "previousId"])
def test_an_id_that_is_an_address_tells_as_well(field: str) -> None:
    rules = make(internal={"domains": ["acme.example"]})
    assert rules.judge(event(**{field: "Ada@Acme.example"}), Edge()) is Reason.INTERNAL_DOMAIN


def test_an_accounts_address_says_nothing_about_the_person() -> None:
    rules = make(internal={"domains": ["acme.example"]})
    assert rules.judge(event("group", groupId="acme", traits={"email": "info@acme.example"}), Edge()) is None


@pytest.mark.parametrize(
    ("said", "came_from", "reason"),
    [
        (None, "203.0.113.9", Reason.INTERNAL_IP),
        ("203.0.113.9", "198.51.100.1", Reason.INTERNAL_IP),
        ("198.51.100.1", "203.0.113.9", None),
        ("0.0.0.0", "203.0.113.9", Reason.INTERNAL_IP),
        ("not one", "203.0.113.9", Reason.INTERNAL_IP),
        (7, "203.0.113.9", Reason.INTERNAL_IP),
        (None, "2001:db8::1", Reason.INTERNAL_IP),
        (None, "198.51.100.1", None),
        (None, None, None),
    ],
)
def test_our_own_offices_are_told_by_the_visitors_address(
    said: object, came_from: str | None, reason: Reason | None
) -> None:
    rules = make(internal={"ips": ["203.0.113.0/24", "2001:db8::/32"]})
    assert rules.judge(event(context={"ip": said}), Edge(came_from)) is reason


def test_of_an_endless_agent_the_beginning_is_judged() -> None:
    rules = make(bots=True, user_agents={"block": ["monitor"]})
    assert rules.judge(from_browser("x" * 512 + BOT), Edge()) is None
    assert rules.judge(from_browser("x" * 512 + "monitor"), Edge()) is None
