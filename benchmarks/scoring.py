"""What scoring costs beyond matching: per event and per lead, the size of a state, and the import at a cold start.

Run `python -m benchmarks.scoring`. Times are medians of interleaved slices of one process on one core, in processor
time; imports are medians over fresh processes, ours and boto3's in turn, with bytecode present, in
processor time too; memory is the peak of the resident set (Linux).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from benchmarks.matching.workload import EventSource, make_patterns
from leadscore import Ruleset, Score, State, advance, match, parse_ruleset, score_events, score_state

Event = dict[str, Any]
Work = Callable[[], object]

CRITERIA = (5, 50, 500)
EVENTS = 50
EVENTS_PER_LEAD = 40
ROUNDS = 7
IMPORTS = 11
NOW = datetime(2026, 10, 1, tzinfo=UTC)
TIERS = [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}]
TRAITS: Sequence[dict[str, object]] = (
    {"title": [{"prefix": "VP "}, {"equals-ignore-case": "ceo"}]},
    {"company": {"employees": [{"numeric": [">=", 100, "<=", 500]}]}},
    {"company": {"industry": ["software", "finance"]}},
    {"country": ["US", "DE"]},
    {"plan": [{"anything-but": ["free"]}]},
)


def make_ruleset(count: int) -> Ruleset:
    """Return `count` criteria on events, of mixed limits, windows and thresholds, and up to five on traits."""
    random = Random(count)
    criteria = [_vary(random, place, pattern) for place, pattern in enumerate(make_patterns(count, seed=1))]
    criteria += [
        {"id": f"fit-{place}", "group": "fit", "points": 10, "traits": traits} for place, traits in enumerate(TRAITS)
    ]
    document = {
        "goal": {"event": ["Plan Upgraded"]},
        "tiers": TIERS,
        "groups": {"fit": {"max": 40}, "engagement": {"max": 100, "half_life": "30d"}},
        "criteria": criteria,
    }
    return parse_ruleset(document, max_state_bytes=None)


def _vary(random: Random, place: int, pattern: dict[str, object]) -> dict[str, object]:
    criterion: dict[str, object] = {"id": f"c{place}", "group": "engagement", "event": pattern}
    criterion["points"] = random.choice((-5, 2, 3, 5, 8, 10, 15))
    if random.random() < 0.15:
        measures = ({"distinct": "properties.feature"}, {"sum": "properties.minutes"}, "days", "count")
        criterion |= {"at_least": random.randint(2, 5), "measure": random.choice(measures)}
    elif random.random() < 0.3:
        criterion["limit"] = random.randint(2, 5)
    if random.random() < 0.3:
        criterion["within"] = random.choice(("30d", "90d"))
    return criterion


def make_history(seed: int, count: int, until: datetime) -> list[Event]:
    """Return `count` events of one lead over the half year before `until`, oldest first."""
    random = Random(seed)
    events: list[Event] = [json.loads(text) for text in EventSource(seed).take(count)]
    times = sorted(until - timedelta(days=180) * random.random() for _ in events)
    for event, moment in zip(events, times, strict=True):
        event["timestamp"] = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return events


def measure(works: dict[str, tuple[Work, int]]) -> dict[str, float]:
    """Return the median microseconds of each work per unit, all works interleaved."""
    slices: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, (work, units) in works.items():
            started = time.process_time()
            work()
            slices[name].append((time.process_time() - started) / units * 1e6)
    return {name: statistics.median(figures) for name, figures in slices.items()}


def per_event_works(ruleset: Ruleset) -> dict[str, tuple[Work, int]]:
    """Return the steps that an event takes through the core, each over events that touch a lead with a history."""
    before = advance(State.empty(ruleset), make_history(1, EVENTS_PER_LEAD, NOW - timedelta(days=1)))
    text = before.to_json()
    fresh = make_history(2, EVENTS * 4, NOW)
    touching = [event for event in fresh if advance(before, [event]) is not before][:EVENTS]
    after = [advance(before, [event]) for event in touching]
    scores = [score_state(state, NOW) for state in after]

    def whole(event: Event) -> Score:
        state = advance(State.from_json(ruleset, text), [event])
        state.to_json()
        score = score_state(state, NOW)
        assert score.factors is not None
        return score

    def explained() -> None:
        for state in after:
            assert score_state(state, NOW).factors is not None

    def changes() -> None:
        for score in scores:
            score.__dict__.pop("next_change_at", None)
            assert score.next_change_at is None or score.next_change_at > NOW

    number = len(touching)
    return {
        "match": (lambda: [match(ruleset, event) for event in touching], number),
        "read the state": (lambda: [State.from_json(ruleset, text) for _ in touching], number),
        "match and advance": (lambda: [advance(before, [event]) for event in touching], number),
        "write the state": (lambda: [state.to_json() for state in after], number),
        "score": (lambda: [score_state(state, NOW) for state in after], number),
        "score with factors": (explained, number),
        "next change": (changes, number),
        "whole event": (lambda: [whole(event) for event in touching], number),
    }


def print_events() -> None:
    rulesets = {count: make_ruleset(count) for count in CRITERIA}
    works: dict[str, tuple[Work, int]] = {}
    for count, ruleset in rulesets.items():
        works |= {f"{count} {name}": work for name, work in per_event_works(ruleset).items()}
        history = make_history(3, EVENTS_PER_LEAD, NOW)
        works[f"{count} whole lead"] = (lambda r=ruleset, h=history: score_events(r, h, NOW), 1)  # type: ignore[misc]
    figures = measure(works)
    for count, ruleset in rulesets.items():
        figures[f"{count} factors of a lead"] = len(
            score_events(ruleset, make_history(3, EVENTS_PER_LEAD, NOW), NOW).factors
        )
    print(f"\nMicroseconds per event that touches a lead; `whole lead` is from its {EVENTS_PER_LEAD} events")
    names = list(dict.fromkeys(name.split(" ", 1)[1] for name in figures))
    print(f"{'criteria on events':24}" + "".join(f"{count:>10}" for count in CRITERIA))
    for name in names:
        print(f"{name:24}" + "".join(f"{figures[f'{count} {name}']:10.1f}" for count in CRITERIA))


def print_sizes() -> None:
    print("\nBytes of a lead's state")
    print(f"{'criteria on events':24}" + "".join(f"{count:>10}" for count in CRITERIA))
    for events in (20, 200, 2000):
        sizes = [len(_state_text(make_ruleset(count), events)) for count in CRITERIA]
        print(f"{f'after {events} events':24}" + "".join(f"{size:10,}" for size in sizes))


def _state_text(ruleset: Ruleset, events: int) -> bytes:
    return advance(State.empty(ruleset), make_history(4, events, NOW)).to_json().encode()


IMPORT = {
    "nothing": "pass",
    "leadscore": "from leadscore import match, parse_ruleset, score_events",
    "boto3 and a client": "import boto3; boto3.client('dynamodb', region_name='eu-west-1')",
}
PROBE = """
import time
started = time.process_time()
{work}
spent = time.process_time() - started
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(spent * 1000, int(peak) / 1024)
"""


def print_imports() -> None:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORT}
    for turn in range(IMPORTS + 1):
        for name, work in IMPORT.items():
            taken = _probe(work)
            if turn:  # the first turn writes the bytecode
                figures[name].append(taken)
    medians = {name: tuple(map(statistics.median, zip(*rows, strict=True))) for name, rows in figures.items()}
    print("\nFresh process, with bytecode")
    print(f"{'':24}{'ms':>10}{'MB':>10}")
    for name, (spent, memory) in medians.items():
        print(f"{name:24}{spent:10.1f}{memory:10.1f}")
    print(f"leadscore / boto3: {medians['leadscore'][0] / medians['boto3 and a client'][0]:.2f}")


def _probe(work: str) -> tuple[float, float]:
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    answer = subprocess.run(
        [sys.executable, "-c", PROBE.format(work=work)], env=environment, capture_output=True, text=True, check=True
    )
    spent, memory = map(float, answer.stdout.split())
    return spent, memory


def main() -> None:
    print_imports()
    print_sizes()
    print_events()


if __name__ == "__main__":
    main()
