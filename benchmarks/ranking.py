"""What a read of the ranked list costs DynamoDB, from a thousand leads to a million.

Run `python -m benchmarks.ranking`; it takes about a minute. The adapter reads from `benchmarks.population`, which
answers as DynamoDB does and counts; nothing here is a time.

A read hands on up to a thousand leads that it met out of place. The next read is after they were moved.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.population import NOW, RULES, Counts, Population
from leadscore.usecases.queries import LeadsQuery
from leadscore.usecases.ranking import MOST_REKEYED, TooManyLeadsError, rank_leads

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FIRST = LeadsQuery(limit=100)
# Reads of one list one after another, at most.
MOST_READS = 20


class Read(NamedTuple):
    """What one read cost; `moved` leads were out of place and have been moved by now."""

    counts: Counts
    moved: int
    refused: bool


def read(table: Population, query: LeadsQuery) -> Read:
    """Read one page, then move what was out of place."""
    try:
        loose, refused = rank_leads(table.reader(), RULES, query, NOW).loose, False
    except TooManyLeadsError as error:
        loose, refused = error.loose, True
    for identity in loose[:MOST_REKEYED]:
        table.refresh(identity)
    return Read(table.take_counts(), min(len(loose), MOST_REKEYED), refused)


def read_until_settled(table: Population, query: LeadsQuery) -> Iterator[Read]:
    """Read a page again and again, until a read is not refused and moves no more than its last chunk met."""
    for _ in range(MOST_READS):
        done = read(table, query)
        yield done
        if not done.refused and done.moved <= 100:
            return


def show(name: str, done: Read) -> None:
    counts, note = done.counts, " refused" if done.refused else ""
    cells = (counts.pages, counts.entries, counts.requests, counts.items, round(counts.units), done.moved)
    print(f"{name:42}" + "".join(f"{cell:10,}" for cell in cells) + note)


def show_until_settled(name: str, table: Population, query: LeadsQuery) -> None:
    reads = list(read_until_settled(table, query))
    show(name, reads[0])
    if len(reads) > 1:
        show(f"  read {len(reads)}", reads[-1])


def print_head(title: str) -> None:
    print(f"\n{title}")
    heads = ("pages", "entries", "requests", "items", "units", "moved")
    print(f"{'':42}" + "".join(f"{head:>10}" for head in heads))


def main() -> None:
    """Print the tables; sizes may be given on the command line."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    print_head("The first 100 of all leads; then once more, and as often as anything moves")
    for size in sizes:
        table = Population(size)
        show_until_settled(f"{size:,} leads", table, FIRST)
    largest = Population(sizes[-1])
    print_head(f"The first 100 of {sizes[-1]:,} leads under a filter, each read for the first time")
    show_until_settled("tier=hot", largest, LeadsQuery(limit=100, tier="hot"))
    show_until_settled("tier=warm", largest, LeadsQuery(limit=100, tier="warm"))
    show("tier=cold", read(largest, LeadsQuery(limit=100, tier="cold")))
    show("owner=nobody", read(largest, LeadsQuery(limit=100, owner="nobody")))
    show("owner=nobody, min_score=70", read(largest, LeadsQuery(limit=100, owner="nobody", min_score=70)))
    print_head("The first 100 where `cool` never ran and no list was ever read")
    for size in sizes:
        show_until_settled(f"{size:,} leads", Population(size, cooled=False), FIRST)


if __name__ == "__main__":
    main()
