"""Leads of a deployed table against their logs: one, some at random, or all in parallel segments. It only reads.

Invariant: every difference is told, and a lead that cannot be verified counts as one that differs.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from leadscore import InvalidRuleset, Ruleset
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.rulesets import read_ruleset
from leadscore.adapters.scanning import DynamoTable
from leadscore.core.identity import Identity
from leadscore.usecases.forest import find_path
from leadscore.usecases.rebuilding import Page, Table
from leadscore.usecases.records import Reader
from leadscore.usecases.verifying import Difference, Verified, belongs_elsewhere, verify_lead
from leadscore_cli.failures import CommandError
from leadscore_cli.target import Target

SEGMENTS = 32
THREADS = 8
# A sample is drawn from this many parts of the table, in random order.
_SAMPLED_SEGMENTS = 256
_ITEMS_PER_PAGE = 200
# A verification of all walks no index, so it need not know over how many partitions those are spread.
_NO_SHARDS = 1

Progress = Callable[[Page, "Verification"], None]


@dataclass(slots=True)
class Verification:
    """What was found out so far. May contain personal data: do not log."""

    leads: int = 0
    busy: int = 0
    strays: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Identity, Difference]] = field(default_factory=list)
    _differing: set[Identity] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        """Whether everything is as the log says; what a new ruleset has yet to reach is no error."""
        return not self.strays and not any(difference.is_error for _, difference in self.differences)

    def add(self, verified: Verified, *, with_all: bool = False) -> None:
        """Take in one lead; of a million that a new ruleset has yet to reach, only the number is kept.

        One that was reached by several identities, as its owners differ, counts once.
        """
        if verified.lead in self._differing:
            return
        if verified.differences:
            self._differing.add(verified.lead)
        self.leads += 1
        self.busy += verified.busy
        self.counts.update(difference.kind for difference in verified.differences)
        self.differences += [(verified.lead, each) for each in verified.differences if each.is_error or with_all]


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies leads of one table under one ruleset."""

    reader: Reader
    table: Table
    ruleset: Ruleset

    def verify_named(self, text: str) -> Verification | None:
        """Return how the lead that `text` names stands, None where there is none."""
        path = find_path(self.reader, text)
        verified = self._verify(path[0].identity) if path else None
        if verified is None:
            return None
        done = Verification()
        done.add(verified, with_all=True)
        return done

    def verify_sample(self, most: int, progress: Progress) -> Verification:
        """Verify up to `most` leads from parts of the table in random order."""
        done = Verification()
        parts = random.sample(range(_SAMPLED_SEGMENTS), _SAMPLED_SEGMENTS)
        for page in (page for part in parts for page in self._pages(part, _SAMPLED_SEGMENTS)):
            for verified in self._verify_page(page):
                done.add(verified)
                if done.leads == most:
                    return done
            done.strays += page.strays
            progress(page, done)
        return done

    def verify_all(self, progress: Progress) -> Verification:
        """Verify every lead of the table, several segments at once."""
        done, lock, is_over = Verification(), threading.Lock(), threading.Event()

        def work(segment: int) -> None:
            for page in self._pages(segment, SEGMENTS):
                found = [verified for verified in self._verify_page(page) if not is_over.is_set()]
                if is_over.is_set():
                    return
                with lock:
                    for verified in found:
                        done.add(verified)
                    done.strays += page.strays
                    progress(page, done)

        with ThreadPoolExecutor(THREADS) as threads:
            try:
                list(threads.map(work, range(SEGMENTS)))
            finally:
                is_over.set()
                threads.shutdown(cancel_futures=True)
        return done

    def _pages(self, segment: int, segments: int) -> Iterator[Page]:
        page = self.table.scan(segment, segments, None, _ITEMS_PER_PAGE)
        yield page
        while page.after is not None:
            page = self.table.scan(segment, segments, page.after, _ITEMS_PER_PAGE)
            yield page

    def _verify_page(self, page: Page) -> Iterator[Verified]:
        for identity in page.identities:
            try:
                verified = None if belongs_elsewhere(self.reader, identity) else self._verify(identity)
            except (ValueError, LookupError, TypeError) as error:
                failed = Difference("failed", identity, "", type(error).__name__, "an item that can be read")
                verified = Verified(identity, (failed,))
            if verified is not None:
                yield verified

    def _verify(self, identity: Identity) -> Verified | None:
        return verify_lead(self.reader, self.ruleset, identity, utc_now, _wait)


@contextmanager
def open_verifier(target: Target) -> Iterator[tuple[Verifier, int]]:
    """Give a verifier of a deployed table under its active ruleset, and about how many items the table has."""
    names = target.deployment
    with target.dynamodb(THREADS) as client, target.ssm() as ssm:
        try:
            ruleset = read_ruleset(ssm, names.ruleset_parameter)
        except InvalidRuleset as invalid:
            raise CommandError(f"the published ruleset cannot be read: {invalid}") from invalid
        reader = DynamoReader(client, names.table, shards=_NO_SHARDS, retention_days=names.event_retention_days)
        table = DynamoTable(client, names.table)
        yield Verifier(reader, table, ruleset), table.count_items()


def _wait(reading: int) -> None:
    """Give whoever is writing the lead the time to finish."""
    time.sleep(0.5 * reading)
