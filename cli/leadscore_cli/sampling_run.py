"""A sample of all leads of a stage, taken here: the table's segments are read and reduced by parallel processes.

Invariant: no event leaves the process that read it; what processes hand back are counts.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from leadscore import parse_ruleset
from leadscore.adapters.histories import DynamoHistories
from leadscore.core.instants import DAY
from leadscore.learning.sampling import Sample, Sampler, Sampling
from leadscore_cli.aws import local_session
from leadscore_cli.failures import CommandError
from leadscore_cli.terminal import err

if TYPE_CHECKING:
    from leadscore.learning.sampling import Moment
    from leadscore.usecases.histories import HistoryReader
    from leadscore_cli.target import Target

# Many more than processes, so that none waits long for the last and the progress is told often.
SEGMENTS = 64
MOST_PROCESSES = 8
_ITEMS_PER_PAGE = 2_000
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do, in values that can be handed to it: a sampling, and where the table is.

    `endpoint` is that of the emulator; without one it is the account that the environment names.
    """

    ruleset: str
    against: str | None
    now: int
    window: int
    seed: int
    moment: Moment
    half_lives: bool
    horizon: int | None
    table: str
    region: str
    endpoint: str | None

    @classmethod
    def of(cls, sampling: Sampling, target: Target) -> Order:
        """Return the order to take a sample of a stage."""
        return cls(
            ruleset=sampling.ruleset.document,
            against=None if sampling.against is None else sampling.against.document,
            now=sampling.now,
            window=sampling.window,
            seed=sampling.seed,
            moment=sampling.moment,
            half_lives=sampling.half_lives,
            horizon=sampling.horizon,
            table=target.deployment.table,
            region=target.deployment.region,
            endpoint=target.endpoint_url,
        )

    @property
    def sampling(self) -> Sampling:
        """The sampling that is ordered."""
        against = None if self.against is None else parse_ruleset(self.against)
        ruleset = parse_ruleset(self.ruleset)
        return Sampling(ruleset, self.now, self.window, self.seed, self.moment, against, self.half_lives, self.horizon)


def take_sample(target: Target, sampling: Sampling, processes: int | None = None) -> Sample:
    """Return the sample of all leads of a stage; how far it has come is shown on a terminal.

    The log begins as long before `sampling.now` as the stage keeps events. Where it ended well before, the sample is as
    of its end, as nobody knows what became of its leads since. Raises CommandError where the table cannot be read, or
    a process that reads it was ended.
    """
    retention = target.deployment.event_retention_days * DAY
    sampling = replace(sampling, horizon=sampling.now - retention)
    sample = _take(target, sampling, processes)
    end = sample.log_end
    return sample if end is None else _take(target, replace(sampling, now=end), processes)


def _take(target: Target, sampling: Sampling, processes: int | None) -> Sample:
    order = Order.of(sampling, target)
    workers = processes or min(MOST_PROCESSES, os.process_cpu_count() or 1)
    # A forked process would share its parent's connections.
    fresh = multiprocessing.get_context("spawn")
    parts: list[Sample] = []
    leads = events = 0
    with ProcessPoolExecutor(workers, mp_context=fresh) as pool, _shown() as progress:
        task = progress.add_task("sampling", total=SEGMENTS, leads=0, events=0)
        try:
            waiting = [pool.submit(sample_segment, order, segment, SEGMENTS) for segment in range(SEGMENTS)]
            for done in as_completed(waiting):
                parts.append(done.result())
                leads += parts[-1].leads
                events += parts[-1].events
                progress.update(task, advance=1, leads=leads, events=events)
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the table {order.table} cannot be read: {problem}") from problem
        except BrokenProcessPool as problem:
            raise CommandError("a process that reads the log was ended, likely for want of memory") from problem
        finally:
            pool.shutdown(cancel_futures=True)
    first, *others = parts
    return first.merge(*others)


def sample_segment(order: Order, segment: int, segments: int) -> Sample:
    """Return the sample of the leads of one segment of the table."""
    session = local_session() if order.endpoint is not None else boto3.Session(region_name=order.region)
    retries = Config(max_pool_connections=_THREADS, retries={"mode": "standard", "total_max_attempts": 8})
    config = retries if order.endpoint is None else retries.merge(Config(proxies={}))
    client = session.client("dynamodb", endpoint_url=order.endpoint, config=config)
    try:
        return reduce_segment(DynamoHistories(client, order.table), order.sampling, segment, segments)
    finally:
        client.close()


def reduce_segment(reader: HistoryReader, sampling: Sampling, segment: int, segments: int) -> Sample:
    """Return the sample of the leads of one segment, page by page."""
    sampler = Sampler(sampling)
    page = reader.read(segment, segments, None, _ITEMS_PER_PAGE)
    while True:
        for history in page.histories:
            sampler.add(history)
        if page.after is None:
            return sampler.sample()
        page = reader.read(segment, segments, page.after, _ITEMS_PER_PAGE)


@contextmanager
def _shown() -> Iterator[Progress]:
    """Give a bar on the error stream, where that is a terminal."""
    columns = (
        TextColumn("reading the log"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[leads]:,} leads, {task.fields[events]:,} events"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield progress
