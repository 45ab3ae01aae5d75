"""A dry run over a deployed table: all of it in parallel segments, or a sample. It only reads.

    segments --> processes, each with a client of its own --> a DryRun each --merge--> the DryRun of all

Scoring is work for processors, not for waiting, so that the segments are spread over processes and not threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import boto3

from leadscore import Ruleset, parse_ruleset
from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.histories import DynamoHistories
from leadscore.core.instants import DAY, Millis, format_instant, from_datetime
from leadscore.learning.dry_runs import DryRun
from leadscore.usecases.dry_run import (
    Comparing,
    DryRunReport,
    SentAlerts,
    count_sent,
    run_sample,
    run_segment,
    since_of,
)
from leadscore.usecases.histories import HistoryPage, HistoryReader
from leadscore_cli.aws import local_session
from leadscore_cli.outputs import Deployment
from leadscore_cli.target import Target

SEGMENTS = 64
_MOST_PROCESSES = 16
_CONNECTIONS = 10
_ITEMS_PER_PAGE = 1000
# A sample reads from many parts of the table a little.
_ITEMS_PER_SAMPLED_PAGE = 100
# Nothing here writes a desk, so it need not be known over how many partitions those are spread.
_NO_SHARDS = 1

# So many of the segments, and so many leads.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process needs to know to compare segments; rulesets are parsed anew, as matchers are not sent about."""

    deployment: Deployment
    endpoint_url: str | None
    old: str
    new: str
    now: Millis
    retention: Millis
    sent: SentAlerts

    @classmethod
    def of(cls, target: Target, comparing: Comparing) -> Errand:
        """Return the errand of comparing the target's leads."""
        return cls(
            deployment=target.deployment,
            endpoint_url=target.endpoint_url,
            old=comparing.old.document,
            new=comparing.new.document,
            now=comparing.now,
            retention=comparing.retention,
            sent=comparing.sent,
        )

    def open(self, opened: ExitStack) -> Worker:
        """Return what does the errand in this process."""
        session = boto3.Session(region_name=self.deployment.region) if self.endpoint_url is None else local_session()
        target = Target(self.deployment, session, self.endpoint_url, write_key=None)
        client = opened.enter_context(target.dynamodb(_CONNECTIONS))
        old, new = parse_ruleset(self.old), parse_ruleset(self.new)
        comparing = Comparing(old, new, self.now, self.retention, self.sent)
        return Worker(DynamoHistories(client, self.deployment.table), comparing)


@dataclass(frozen=True, slots=True)
class Worker:
    """Compares leads of one table, as one process does it."""

    reader: HistoryReader
    comparing: Comparing

    def run(self, segment: int) -> DryRun:
        """Return the dry run of one segment."""
        return run_segment(self.reader, self.comparing, segment, SEGMENTS, _ITEMS_PER_PAGE, _no_progress)

    def run_sample(self, leads: int, progress: Progress) -> DryRunReport:
        """Return the dry run of so many leads."""
        compared = 0

        def note(page: HistoryPage) -> None:
            nonlocal compared
            compared += len(page.histories)
            progress(min(compared, leads), compared)

        return run_sample(self.reader, self.comparing, leads, _ITEMS_PER_SAMPLED_PAGE, lambda: False, note)


@dataclass(frozen=True, slots=True)
class DryRunner:
    """Dry-runs one ruleset against another on the leads of one target."""

    target: Target
    comparing: Comparing

    def run_sample(self, leads: int, progress: Progress) -> DryRunReport:
        """Return the dry run of so many leads, or of all if there are fewer."""
        with ExitStack() as opened:
            return Errand.of(self.target, self.comparing).open(opened).run_sample(leads, progress)

    def run_all(self, progress: Progress) -> DryRunReport:
        """Return the dry run of all leads, several segments at once."""
        done = DryRun.empty(self.comparing.old, self.comparing.new)
        errand = Errand.of(self.target, self.comparing)
        processes = min(os.process_cpu_count() or 1, _MOST_PROCESSES)
        # A process that is forked would share its parent's connections.
        pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(errand,))
        try:
            running = [pool.submit(_run, segment) for segment in range(SEGMENTS)]
            for number, future in enumerate(as_completed(running), 1):
                done = done.merge(future.result())
                progress(number, done.leads)
        finally:
            pool.shutdown(cancel_futures=True)
        return DryRunReport(self.comparing, done, is_all=True)


@contextmanager
def open_dry_runner(target: Target, old: Ruleset, new: Ruleset) -> Iterator[DryRunner]:
    """Give what compares the target's leads now; reads the records of the alerts of late."""
    names, now = target.deployment, from_datetime(utc_now())
    with target.dynamodb(_CONNECTIONS) as client:
        desks = DynamoDesks(client, names.table, shards=_NO_SHARDS, retention_days=names.event_retention_days)
        sent = count_sent(desks.walk_alerts(format_instant(since_of(now))), now)
    yield DryRunner(target, Comparing(old, new, now, names.event_retention_days * DAY, sent))


# What a process has opened when it began, for all segments that it is given.
_workers: list[Worker] = []


def _begin(errand: Errand) -> None:
    _workers.append(errand.open(ExitStack()))


def _run(segment: int) -> DryRun:
    return _workers[0].run(segment)


def _no_progress(_page: HistoryPage) -> None:
    pass
