"""Stories of the alert policy, written as what happens and what goes out, line by line.

    clock: Europe/Berlin                            the zone of all times; UTC if not given
    policy: {tier: hot, cooldown: 7d}               the `alerts` of the ruleset, also over several indented lines;
                                                    accounts are rated where it says something of `accounts`

    Mon 2026-03-02 10:00  ann does Trial Started    an event
    Mon 2026-03-02 10:00  ann is {title: VP}        what is known of her
    Mon 2026-03-02 10:00  ann joins acme            her account
    Mon 2026-03-02 10:00  ann becomes bob           two leads turn out to be one person
    Mon 2026-03-02 10:00  ann is snoozed until Wed 2026-03-04 10:00, and so may be `account acme`
    Mon 2026-03-02 10:00  ann did Trial Started     an event that was imported
    Mon 2026-03-02 10:00  > alert: ann entered hot              what goes out
    Mon 2026-03-02 10:00  x bob: has converted                  who is not told of, and why
    Mon 2026-03-09 10:00  end

The lines with `>` and `x` must be all that ever happen, in that order; one that ends with `;` goes on in the next. The
score is made of the criteria in RULES.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from leadscore import Ruleset, parse_ruleset
from leadscore.core.alert_desk import Request
from leadscore.core.instants import to_datetime
from tests.unit.alert_office import Office, Suppression, belong, identify, track

RULES = """
goal: {event: [Subscription Started]}
tiers: [{name: burning, from: 80}, {name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]
criteria:
  - {id: executive, group: fit, traits: {title: [VP]}, points: 10}
  - {id: trial, group: engagement, event: {event: [Trial Started]}, points: 45}
  - {id: pricing, group: engagement, event: {event: [Pricing Viewed]}, points: 15, within: 1d}
  - {id: invited, group: engagement, event: {event: [Team Invited]}, points: 50, within: 3d}
  - {id: paused, group: engagement, event: {event: [Paused]}, points: -20, within: 1d}
  - {id: rival, disqualify: true, traits: {email: [{suffix: "@rival.example"}]}}
alerts: POLICY
"""
LINE = re.compile(r"(?P<when>\w{3} \d{4}-\d\d-\d\d \d\d:\d\d)  +(?P<what>.+)")


@dataclass(frozen=True)
class Story:
    """What happens and what is expected of it, in the order of the lines."""

    ruleset: Ruleset
    zone: ZoneInfo
    rated: bool
    happens: list[tuple[datetime, str]]
    expected: list[str]


def read_story(text: str) -> Story:
    head, body = text.strip().split("\n\n", 1)
    clock = re.search(r"^clock: (.+)$", head, re.MULTILINE)
    zone = ZoneInfo(clock[1] if clock else "UTC")
    policy = head.split("policy:", 1)[1]
    happens: list[tuple[datetime, str]] = []
    expected: list[str] = []
    for line in filter(None, map(str.strip, re.sub(r";\n +", "; ", body).splitlines())):
        found = LINE.fullmatch(line)
        assert found, f"unreadable: {line}"
        if found["what"].startswith((">", "x ")):
            expected.append(f"{found['when']}  {found['what']}")
        else:
            happens.append((read_instant(found["when"], zone), found["what"]))
    return Story(parse_ruleset(RULES.replace("POLICY", policy)), zone, "accounts:" in policy, happens, expected)


def read_instant(text: str, zone: ZoneInfo) -> datetime:
    instant = datetime.strptime(text, "%a %Y-%m-%d %H:%M").replace(tzinfo=zone)
    assert tell_instant(instant, zone) == text, f"{text} is a {instant:%a}"
    return instant.astimezone(UTC)


def tell_instant(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%a %Y-%m-%d %H:%M}"


def play(story: Story) -> list[str]:
    """Let the story happen, and return what came of it in the form of its lines."""
    office = Office(story.ruleset, story.happens[0][0], ratings={} if story.rated else None)
    for number, (instant, what) in enumerate(story.happens):
        office.advance(instant)
        act(office, story, what, number)
        office.settle()
    assert not office.pending
    assert all(office.due_at(name) is None for name in office.desks), "something still waits"
    return tell(office, story.zone)


def act(office: Office, story: Story, what: str, number: int) -> None:
    if what == "end":
        return
    lead, verb, rest = what.removeprefix("account ").split(" ", 2)
    identity = f"account:{lead}" if what.startswith("account ") else f"user:{lead}"
    if verb == "does":
        office.hear(identity, track(rest, office.now, number))
    elif verb == "did":
        office.hear(identity, track(rest, office.now, number), "import")
    elif verb == "joins":
        office.hear(identity, belong(rest, office.now, number))
    elif verb == "becomes":
        office.join(identity, f"user:{rest}")
    elif verb == "is" and rest.startswith("snoozed until "):
        office.snooze(identity, read_instant(rest.removeprefix("snoozed until "), story.zone))
    elif verb == "is":
        traits = dict(re.findall(r"(\w+): ([^,}]+)", rest))
        office.hear(identity, identify(traits, office.now, number))
    else:
        raise AssertionError(f"unreadable: {what}")


def tell(office: Office, zone: ZoneInfo) -> list[str]:
    """Return what went out and what did not, in order of time."""
    lines: list[tuple[int, str]] = []
    for one in office.published:
        leads = "; ".join(f"{bare(entry.lead)} {told(entry.main)}" for entry in one.alert.leads)
        lines.append((one.at, f"> {one.alert.kind.replace('_', '-')}: {leads}"))
    at_desks = {id(one): one for one in office.outcomes.values() if isinstance(one, Suppression)}
    suppressed = [*office.decided, *at_desks.values()]
    lines += [(one.at, f"x {bare(one.lead)}: {one.reason}") for one in suppressed]
    lines.sort(key=lambda line: line[0])
    return [f"{tell_instant(to_datetime(at), zone)}  {text}" for at, text in lines]


def told(request: Request) -> str:
    return request.reason if request.event is None else f"{request.reason} ({request.event})"


def bare(identity: str) -> str:
    return identity.removeprefix("user:").replace("account:", "account ")
