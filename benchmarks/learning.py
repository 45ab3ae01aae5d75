"""How fast a log is reduced to grouped counts, beside DuckDB that computes the same counts in SQL from the same file.

Run `python -m benchmarks.learning [leads]`; it takes some minutes. The file is the sample company's events, a line of
JSON for each lead. Ours are two processes, started before, with the decoder of the standard library and with msgspec;
DuckDB has two threads. All counts are asserted to be equal before anything is printed. The contenders take turns:
rates are medians over the rounds, by the clock, and by the processor time of all processes or threads together.

We count more than what is compared: true scores with caps, and the facts that no criterion reads. DuckDB is told in
SQL what the criteria are, which columns of the events there are, and nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from leadscore import parse_ruleset
from leadscore.core.instants import DAY, from_datetime
from leadscore.learning.samples import STEPS, Counts, Grouped
from leadscore.learning.sampling import WEEK, Sample, Sampler, Sampling
from leadscore.usecases.histories import History
from leadscore_cli.sample_company import (
    BEHAVIOURS,
    CHARACTERISTICS,
    GOAL,
    HALF_LIFE,
    Behaviour,
    Option,
    SampleCompany,
    sample_ruleset,
)

LEADS = 130_000
ROUNDS = 5
WORKERS = 2
PARTS = 16
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = 30 * DAY
DECODERS: Mapping[str, Callable[[bytes], Any]] = {"json": json.loads, "msgspec": msgspec.json.decode}

Weeks = Mapping[int, Grouped]


class Timed(NamedTuple):
    """What one turn took, in seconds by the clock and of processor time."""

    clock: float
    processor: float


@cache
def sampling() -> Sampling:
    return Sampling(parse_ruleset(sample_ruleset()), from_datetime(UNTIL), WINDOW)


def write_leads(path: Path, leads: int) -> int:
    """Write the leads of the sample company, a line each; return how many events they have."""
    company, events = SampleCompany(leads, UNTIL), 0
    with path.open("w", encoding="utf-8") as file:
        for lead in company.people():
            told = company.events_of(lead)
            events += len(told)
            line = {"lead": f"user:{told[0]['userId']}", "events": told}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return events


def parts_of(path: Path) -> list[tuple[int, int]]:
    """Return ranges of bytes that are whole lines and together the file."""
    size = path.stat().st_size
    edges = [0]
    with path.open("rb") as file:
        for part in range(1, PARTS):
            file.seek(size * part // PARTS)
            file.readline()
            edges.append(file.tell())
    return list(pairwise([*edges, size]))


def reduce_part(path: Path, start: int, end: int, decoder: str) -> tuple[Sample, float]:
    """Return the sample of a part of the file, and the processor time that it took."""
    began, decode, sampler = time.process_time(), DECODERS[decoder], Sampler(sampling())
    with path.open("rb") as file:
        file.seek(start)
        for line in file.read(end - start).splitlines():
            lead = decode(line)
            sampler.add(History(lead["lead"], lead["events"], (), None))
    return sampler.sample(), time.process_time() - began


def reduce_by_processes(pool: ProcessPoolExecutor, path: Path, decoder: str) -> tuple[Weeks, Timed]:
    clock, processor = time.perf_counter(), time.process_time()
    ranges = parts_of(path)
    starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
    done = list(pool.map(reduce_part, [path] * PARTS, starts, ends, [decoder] * PARTS))
    (first, *others), times = [sample for sample, _ in done], [spent for _, spent in done]
    merged = first.merge(*others)
    return merged.weeks, Timed(time.perf_counter() - clock, time.process_time() - processor + sum(times))


def reduce_by_duckdb(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Weeks, Timed]:
    clock, processor = time.perf_counter(), time.process_time()
    rows = connection.execute(query).fetchall()
    spent = Timed(time.perf_counter() - clock, time.process_time() - processor)
    weeks: dict[int, dict[tuple[tuple[int, int], ...], Counts]] = {}
    for week, strengths, leads, conversions in rows:
        pattern = tuple((place, strength) for place, strength in enumerate(strengths) if strength)
        weeks.setdefault(week, {})[pattern] = Counts(leads, conversions)
    criteria = tuple(str(one) for one in _criteria())
    return {week: Grouped(criteria, patterns) for week, patterns in weeks.items()}, spent


def _criteria() -> Iterator[str]:
    yield from (option.criterion for one in CHARACTERISTICS for option in one.options)
    yield from (behaviour.criterion for behaviour in BEHAVIOURS)


def write_query(path: Path) -> str:
    """Return the SQL that gives per week and pattern the leads and their conversions."""
    half_life, known = float(HALF_LIFE), "t <= moment"
    trait_columns = [
        _steps(f"({_trait_condition(one.trait, option)})::INTEGER") for one in CHARACTERISTICS for option in one.options
    ]
    event_columns = [_steps(_strength(behaviour, half_life)) for behaviour in BEHAVIOURS]
    aggregates = ",\n".join(_aggregate(place, behaviour, known) for place, behaviour in enumerate(BEHAVIOURS))
    columns = (
        'STRUCT("type" VARCHAR, "timestamp" TIMESTAMP, event VARCHAR, properties STRUCT(path VARCHAR, feature VARCHAR),'
        " traits STRUCT(title VARCHAR, country VARCHAR, email VARCHAR,"
        " company STRUCT(employees INTEGER, industry VARCHAR)))[]"
    )
    now = from_datetime(UNTIL)
    return f"""
        WITH leads AS (
            SELECT lead, events, epoch_ms(list_min(list_transform(events, lambda e: e."timestamp"))) AS first
            FROM read_ndjson('{path}', columns = {{lead: 'VARCHAR', events: '{columns}'}})
        ), timed AS (
            SELECT lead, events, first + {DAY} + floor(
                ('0x' || substr(sha256('0:' || lead), 1, 13))::BIGINT / {1 << 52} * {29 * DAY}
            )::BIGINT AS moment
            FROM leads
        ), flat AS (
            SELECT lead, moment, unnest(events) AS e FROM timed WHERE moment + {WINDOW} <= {now}
        ), known AS (
            SELECT lead, moment, epoch_ms(e."timestamp") AS t, e."type" AS kind, e.event AS name,
                e.properties.path AS path, e.properties.feature AS feature, e.traits AS traits
            FROM flat
        ), facts AS (
            SELECT lead, any_value(moment) AS moment,
                coalesce(bool_or(name = '{GOAL}' AND {known}), false) AS before,
                coalesce(bool_or(name = '{GOAL}' AND t > moment AND t <= moment + {WINDOW}), false) AS converted,
                arg_max(traits, t) FILTER (kind = 'identify' AND {known}) AS traits,
                {aggregates}
            FROM known GROUP BY lead
        ), strengths AS (
            SELECT moment // {WEEK} AS week, converted, [{", ".join([*trait_columns, *event_columns])}] AS strengths
            FROM facts WHERE NOT before
        )
        SELECT week, strengths, count(*), count(*) FILTER (converted) FROM strengths GROUP BY ALL
    """


def _steps(strength: str) -> str:
    return f"round_even(coalesce({strength}, 0) * {STEPS}, 0)::INTEGER"


def _trait_condition(trait: str, option: Option) -> str:
    if trait == "mailbox":
        return " OR ".join(f"ends_with(traits.email, '@{value}')" for value in option.values)
    column = f"traits.company.{trait}" if trait in ("employees", "industry") else f"traits.{trait}"
    return f"{column} IN ({', '.join(repr(value) for value in option.values)})"


def _aggregate(place: int, behaviour: Behaviour, known: str) -> str:
    column = "path" if behaviour.kind == "page" else "name"
    only = f"FILTER (kind = '{behaviour.kind}' AND {column} = '{behaviour.name}' AND {known})"
    newest = f"max(t) {only} AS b{place}" if behaviour.limit == 1 else f"max(t, {behaviour.limit}) {only} AS b{place}"
    return f"{newest}, count(DISTINCT feature) {only} AS d{place}" if behaviour.distinct else newest


def _strength(behaviour: Behaviour, half_life: float) -> str:
    place = BEHAVIOURS.index(behaviour)
    if behaviour.limit > 1:
        return f"list_sum(list_transform(b{place}, lambda t: pow(2, (t - moment) / {half_life})))"
    strength = f"pow(2, (b{place} - moment) / {half_life})"
    return f"CASE WHEN d{place} >= {behaviour.distinct} THEN {strength} END" if behaviour.distinct else strength


def main() -> None:
    leads = int(sys.argv[1]) if len(sys.argv) > 1 else LEADS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leads.ndjson"
        events = write_leads(path, leads)
        size = path.stat().st_size / 1e6
        print(f"{leads:,} leads, {events:,} events, {size:,.0f} MB; {os.cpu_count()} cores, {ROUNDS} rounds in turn\n")
        connection = duckdb.connect(config={"threads": WORKERS})
        query = write_query(path)
        spent: dict[str, list[Timed]] = {}
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(WORKERS, mp_context=fresh) as pool:
            contenders: dict[str, Callable[[], tuple[Weeks, Timed]]] = {
                f"leadscore, {name}": lambda name=name: reduce_by_processes(pool, path, name)  # type: ignore[misc]
                for name in DECODERS
            }
            contenders[f"duckdb {duckdb.__version__}"] = lambda: reduce_by_duckdb(connection, query)
            # The first round warms up, and shows that all of them count the same.
            counts = {name: work()[0] for name, work in contenders.items()}
            first = next(iter(counts.values()))
            if not all(one == first for one in counts.values()):
                raise SystemExit("the contenders do not count the same")
            for _ in range(ROUNDS):
                for name, work in contenders.items():
                    spent.setdefault(name, []).append(work()[1])
    _show(events, spent)
    found = list(first.values())
    patterns, sampled = sum(len(one.rows) for one in found), sum(one.leads for one in found)
    conversions = sum(one.conversions for one in found)
    print(f"\nequal counts: {sampled:,} leads, {conversions:,} conversions, {patterns:,} patterns by week")


def _show(events: int, spent: Mapping[str, list[Timed]]) -> None:
    medians = {
        name: [statistics.median(events / one[nth] for one in times) for nth in (0, 1)] for name, times in spent.items()
    }
    *_, peer = medians.values()
    print(f"{'events per second':24}{'by the clock':>14}{'of duckdb':>11}{'a core':>14}{'of duckdb':>11}")
    for name, (clock, core) in medians.items():
        print(f"{name:24}{clock:14,.0f}{clock / peer[0]:11.2f}{core:14,.0f}{core / peer[1]:11.2f}")


if __name__ == "__main__":
    main()
