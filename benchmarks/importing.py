"""How fast history is imported: what reading and normalising alone take, and the whole road on the local stage.

Run `python -m benchmarks.importing`; it takes about four minutes and starts an emulator of its own. The archive is in
Segment's shape, gzip, of leads with twenty events each of which one in five matches. "Read" is one process with a
queue that takes all at once; "scored" is from the start of `leadscore import` until its last event is in its lead.
On AWS the road's length is what `score` takes, which scales; the emulator's functions share this machine's cores.
"""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from unittest.mock import patch

from botocore.config import Config
from typer.testing import CliRunner

from leadscore.core.instants import DAY, format_instant, from_datetime
from leadscore.usecases.importing import Importer, batch_size
from leadscore_cli import import_command, main
from leadscore_cli.aws import local_session
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.outputs import LocalOutputs
from leadscore_cli.project import find_project
from leadscore_cli.target import choose_target
from tests.property.archived import as_lines, in_segments_archive

READ, SCORED, EVENTS_OF_A_LEAD, ROUNDS = 100_000, 4_000, 20, 3
NOW = from_datetime(datetime.now(UTC))
NAMES = ("Trial Started", "Clicked", "Viewed", "Searched", "Opened")


class Everything:
    """A queue that takes all at once."""

    def send_all(self, bodies: Sequence[str]) -> None:
        pass


class InMemory:
    """A file of an archive."""

    name = "archive"

    def __init__(self, content: bytes) -> None:
        self._content = content

    def open(self, offset: int) -> IO[bytes]:
        return io.BytesIO(self._content[offset:])


def make_archive(number: int) -> bytes:
    chance = random.Random(number)
    return gzip.compress(as_lines(_make_event(chance, each, number // EVENTS_OF_A_LEAD) for each in range(number)))


def _make_event(chance: random.Random, number: int, leads: int) -> dict[str, object]:
    called = NOW - chance.randrange(60 * DAY)
    said = {
        "messageId": f"import-{leads}-{number}",
        "type": "track",
        "event": chance.choice(NAMES),
        "userId": f"lead-{chance.randrange(leads)}",
        "properties": {"plan": "team", "path": "/pricing/teams", "seconds": chance.randrange(600)},
        "context": {"ip": "203.0.113.9", "userAgent": "Mozilla/5.0", "library": {"name": "analytics.js"}},
        "timestamp": format_instant(called),
        "sentAt": format_instant(called + 800),
    }
    return in_segments_archive(said, called + 1_000)


def read_rate(archive: bytes) -> float:
    """Return events a second of reading alone."""
    importer = Importer(Everything(), lambda: NOW, 400 * DAY, lambda _: None, batch_size(1000))
    began = time.perf_counter()
    taken = sum(step.counts.accepted for step in importer.run(InMemory(archive)))
    return taken / (time.perf_counter() - began)


def scored_rates(folder: Path) -> tuple[float, float]:
    """Return events a second of the whole road, the first time and once more when the log has them all."""
    stage = LocalStage(find_project(), folder / "state", print, outlives_this_process=False)
    outputs = stage.up()
    try:
        target = choose_target("local", stage.directory)
        path = folder / "archive.gz"
        path.write_bytes(make_archive(SCORED))
        with patch.object(import_command, "target_of_project", lambda _stage: target):
            return _import(outputs, path), _import(outputs, path)
    finally:
        stage.down()


def _import(outputs: LocalOutputs, path: Path) -> float:
    began = time.perf_counter()
    options = ["--anew", "--progress", str(path.with_name("progress")), "--events-per-second", "100000"]
    result = CliRunner().invoke(main.app, ["import", str(path), *options])
    assert result.exit_code == 0, result.output
    _wait_until_scored(outputs)
    return SCORED / (time.perf_counter() - began)


def _wait_until_scored(outputs: LocalOutputs) -> None:
    url, config = outputs.endpoint_url, Config(proxies={})
    with closing(local_session().client("sqs", endpoint_url=url, config=config)) as sqs:
        while True:
            found = sqs.get_queue_attributes(
                QueueUrl=outputs.deployment.events_queue_url, AttributeNames=["All"]
            )["Attributes"]  # fmt: skip
            if found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0":
                return
            time.sleep(0.2)


def main_() -> None:
    archive = make_archive(READ)
    rates = sorted(read_rate(archive) for _ in range(ROUNDS))
    print(f"read: {rates[len(rates) // 2]:,.0f} events a second (median of {ROUNDS})")
    with tempfile.TemporaryDirectory() as folder:
        first, again = scored_rates(Path(folder))
    print(f"scored on the local stage: {first:,.0f} events a second; all of them repeated: {again:,.0f}")


if __name__ == "__main__":
    main_()
