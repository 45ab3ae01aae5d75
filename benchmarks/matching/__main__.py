"""Compare rule matching: `python -m benchmarks.matching [--quick] [-n 5 -n 50] [--only NAME]`.

For each number of criteria every engine gets the same rules and events. First its answers are checked against ours on
a sample and disagreements are reported; then decode + match, match alone, the building of our matcher, and
the optional bulk decoder are measured. A few criteria make a lucky or unlucky set, so small numbers take several sets.
"""

from __future__ import annotations

import argparse
import json
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from benchmarks.matching import peers
from benchmarks.matching.conditions import read_rule
from benchmarks.matching.engines import Engine, Match, build_ours, build_plain_loop, parse_patterns
from benchmarks.matching.measuring import Contestant, run_rounds, stay_on_one_core
from benchmarks.matching.report import write_table
from benchmarks.matching.workload import Document, EventSource, make_patterns
from leadscore.bulk import BulkMatcher
from leadscore.core.matcher import Matcher, chosen

OURS = "leadscore"
LOOP = "plain loop over compiled criteria"
BULK = "leadscore bulk (msgspec)"
DECODE = "json.loads alone"
ENGINES: dict[str, Engine] = {
    OURS: build_ours,
    LOOP: build_plain_loop,
    "jsonschema-rs": peers.build_jsonschema_rs,
    "zen-engine": peers.build_zen_engine,
    "panzi-json-logic": peers.build_json_logic,
    "business-rules": peers.build_business_rules,
    "common-expression-language": peers.build_cel,
    "moto EventPattern": peers.build_moto,
}
SETS = {5: 8, 50: 4}
EVENTS = 4000


@dataclass
class Figures:
    """What was measured for one number of criteria: per engine, in microseconds per event."""

    matches_per_event: float = 0.0
    clauses: float = 0.0
    decode_and_match: dict[str, float] = field(default_factory=dict)
    match: dict[str, float] = field(default_factory=dict)
    build_ms: float = 0.0
    build_mb: float = 0.0
    disagreements: dict[str, str] = field(default_factory=dict)


@dataclass
class Samples:
    """The slices of all sets of one number of criteria, by engine."""

    decode_and_match: dict[str, list[float]] = field(default_factory=dict)
    match: dict[str, list[float]] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_options(arguments)
    stay_on_one_core()
    texts = EventSource(options.seed).take(400 if options.quick else EVENTS)
    size = sum(map(len, texts)) // len(texts)
    print(f"Python {sys.version.split()[0]}, {len(texts)} events of {size} bytes on average\n")
    figures = {n: measure(n, texts, options) for n in options.n}
    print_report(figures)
    if options.json:
        content = {n: vars(one) for n, one in figures.items()}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching", description=__doc__)
    parser.add_argument("-n", type=int, action="append", help="number of criteria; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few events and slices: a minute, rough figures")
    parser.add_argument("--only", action="append", choices=list(ENGINES), help="these engines beside ours")
    parser.add_argument("--rounds", type=int, help="slices per engine and set of criteria")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    options.n = options.n or ([5, 500] if options.quick else [5, 50, 500, 5000])
    options.rounds = options.rounds or (5 if options.quick else 24)
    return options


def measure(n: int, texts: list[bytes], options: argparse.Namespace) -> Figures:
    figures, samples = Figures(), Samples()
    sets = 1 if options.quick else SETS.get(n, 1)
    engines = {name: ENGINES[name] for name in ENGINES if not options.only or name in {OURS, *options.only}}
    builds: list[tuple[float, float]] = []
    for one in range(sets):
        print(f"measuring N={n}, set {one + 1} of {sets}", file=sys.stderr)
        documents = make_patterns(n, options.seed * 1000 + one)
        builds.append(measure_build(documents))
        measure_set(documents, texts, engines, options, figures, samples)
        figures.clauses += mean_clauses(documents) / sets
    figures.matches_per_event /= sets
    figures.build_ms, figures.build_mb = (median(build[i] for build in builds) for i in (0, 1))
    figures.decode_and_match = {name: median(micros) for name, micros in samples.decode_and_match.items()}
    figures.match = {name: median(micros) for name, micros in samples.match.items()}
    return figures


def measure_build(documents: list[Document]) -> tuple[float, float]:
    """Return milliseconds and megabytes that one matcher takes to build, in runs of their own."""
    patterns = parse_patterns(documents)
    times: list[float] = []
    for _ in range(3):
        begin = process_time()
        Matcher(patterns)
        times.append((process_time() - begin) * 1e3)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    matcher = Matcher(patterns)
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del matcher
    return median(times), size / 1e6


def mean_clauses(documents: list[Document]) -> float:
    conjunctions = [c for pattern in parse_patterns(documents) for c in pattern.conjunctions]
    return sum(len(c) for c in conjunctions) / len(conjunctions)


def measure_set(
    documents: list[Document],
    texts: list[bytes],
    engines: dict[str, Engine],
    options: argparse.Namespace,
    figures: Figures,
    samples: Samples,
) -> None:
    ids = [f"criterion-{i}" for i in range(len(documents))]
    rules = [read_rule(document) for document in documents]
    events: list[Any] = [json.loads(text) for text in texts]
    matches = {name: build(documents, rules, ids) for name, build in engines.items()}
    sample = events[: 40 if len(documents) > 500 else 300]
    for name, match in matches.items():
        report_disagreements(name, match, matches[OURS], sample, figures)
    figures.matches_per_event += sum(len(matches[OURS](event)) for event in sample) / len(sample)
    match_text = BulkMatcher(parse_patterns(documents)).match_bits
    decoding = [Contestant(DECODE, json.loads, texts)]
    decoding += [Contestant(name, decode_then(match), texts) for name, match in matches.items()]
    decoding.append(Contestant(BULK, lambda text: chosen(ids, match_text(text)), texts))
    matching = [Contestant(name, match, events) for name, match in matches.items()]
    run_rounds([*decoding, *matching], options.rounds, 100)
    for group, kept in ((decoding, samples.decode_and_match), (matching, samples.match)):
        for one in group:
            kept.setdefault(one.name, []).extend(one.micros)


def decode_then(match: Match) -> Callable[[Any], object]:
    loads = json.loads
    return lambda text: match(loads(text))


def report_disagreements(name: str, match: Match, ours: Match, sample: list[Any], figures: Figures) -> None:
    wrong = [event for event in sample if list(match(event)) != list(ours(event))]
    if wrong:
        ids = sorted(set(match(wrong[0])) ^ set(ours(wrong[0])))[:3]
        figures.disagreements[name] = f"{len(wrong)} of {len(sample)} events, first over {', '.join(ids)}"


def print_report(figures: dict[int, Figures]) -> None:
    columns = [f"N={n}" for n in figures]
    every = list(figures.values())
    names = list(every[0].decode_and_match)

    def row(read: Callable[[Figures], float | None]) -> list[float | None]:
        return [read(one) for one in every]

    def table(title: str, read: Callable[[Figures, str], float | None], shown: list[str]) -> None:
        print(write_table(title, columns, {name: row(lambda one, name=name: read(one, name)) for name in shown}))  # type: ignore[misc]

    table("Decode + match, microseconds per event", lambda one, name: one.decode_and_match.get(name), names)
    table("Match alone, microseconds per event", lambda one, name: one.match.get(name), list(every[0].match))
    others = [name for name in names if name not in {OURS, BULK, DECODE}]
    table(
        "Decode + match, times ours",
        lambda one, name: one.decode_and_match[name] / one.decode_and_match[OURS],
        others,
    )
    table(
        "Decode + match, times json.loads alone",
        lambda one, name: one.decode_and_match[name] / one.decode_and_match[DECODE],
        [OURS, BULK],
    )
    facts = {
        "clauses per conjunction": row(lambda one: one.clauses),
        "matches per event": row(lambda one: one.matches_per_event),
        "building our matcher, ms": row(lambda one: one.build_ms),
        "our matcher, MB": row(lambda one: one.build_mb),
    }
    print(write_table("Workload and building", columns, facts))
    for n, one in figures.items():
        for name, what in one.disagreements.items():
            print(f"N={n}: {name} disagrees on {what}")
        if not one.disagreements:
            print(f"N={n}: every engine agrees with ours on the sample")


if __name__ == "__main__":
    sys.exit(main())
