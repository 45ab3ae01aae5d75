"""Runs one SDK through one scenario against the deployed stack, once per session, and keeps what was seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.config import Config

from leadscore.adapters.dynamodb import DynamoReader
from leadscore.core.instants import Millis, from_datetime, parse_instant
from leadscore_cli.cdk import tool_path
from leadscore_cli.project import find_project
from tests.e2e.deployed import Stack, eventually
from tests.e2e.sdks.calls import Call, StoredEvent, browser_calls, server_calls, types_of, without_nulls
from tests.e2e.sdks.flaky_door import Exchange, Fault, FlakyDoor, open_door
from tests.e2e.test_main_road import queue_is_empty

DRIVERS = Path(__file__).parent / "drivers"
WRONG_KEY = "not-a-key"
_DRIVER_SECONDS = 60.0
_SETTLING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sdk:
    """One released SDK: its package, the driver that makes calls with it, and what sets it apart from the others.

    `line` is what a product writes to send its events to Leadscore, with HOST and KEY for its own.
    """

    package: str
    driver: tuple[str, ...]
    line: str
    has_screen: bool = True
    sends_nulls: bool = True
    waits_as_told: bool = True

    @property
    def in_browser(self) -> bool:
        """Whether it runs in a page."""
        return self.driver[0] == "browser.mjs"

    def command(self) -> list[str]:
        """Return the command line that starts the driver."""
        script = DRIVERS / self.driver[0]
        interpreter = sys.executable if script.suffix == ".py" else "node"
        return [interpreter, str(script), *self.driver[1:]]

    def calls(self, lead: str, now: datetime) -> list[Call]:
        """Return the calls that it makes about one person."""
        calls = browser_calls(lead) if self.in_browser else server_calls(lead, now)
        calls = [call for call in calls if self.has_screen or call["type"] != "screen"]
        return calls if self.sends_nulls else [without_nulls(call) for call in calls]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the SDK meets: faults for its first requests in order, a key that is not one, or a page that is left."""

    name: str
    faults: tuple[Fault, ...] = ()
    wrong_key: bool = False
    is_left: bool = False


@dataclass(slots=True)
class Run:
    """What is heard of a driver at work: what the SDK says of each call, and of a page which hosts it asked for
    anything, and what it wrote to its console.
    """

    outcomes: dict[str, str | None] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def listen(self, notes: IO[bytes]) -> None:
        """Take in what the driver writes, until it ends."""
        for line in notes:
            note = json.loads(line)
            self.outcomes.update(note.get("outcomes", {}))
            self.hosts.update({note["host"]} if "host" in note else ())
            self.complaints += [note["complaint"]] if "complaint" in note else []

    def failures(self) -> list[str]:
        """Return what the SDK says of calls that failed, by their callbacks or else on the page's console."""
        told = [error for error in self.outcomes.values() if error]
        return told or [line for line in self.complaints if "will be dropped" in line]


@dataclass(frozen=True, slots=True)
class Trial:
    """What was called, what the SDK said of it and sent, what the log and the score were in the end, and when."""

    calls: Sequence[Call]
    run: Run
    host: str
    exchanges: Sequence[Exchange]
    stored: Sequence[StoredEvent]
    score: float | None
    began: Millis
    ended: Millis

    def deliveries(self) -> list[Exchange]:
        """Return the requests that carried events, oldest first."""
        return sorted((seen for seen in self.exchanges if seen.method == "POST"), key=lambda seen: seen.at)

    def refused(self) -> list[Exchange]:
        """Return those that were not taken, as far as the SDK can know."""
        return [seen for seen in self.deliveries() if seen.status != 200]

    def wire(self, kind: str) -> list[dict[str, Any]]:
        """Return the event of one type as it was sent, once for each time that it was."""
        events = (event for exchange in self.deliveries() for event in exchange.events())
        return [event for event in events if event["type"] == kind]

    def stored_as(self, kind: str) -> list[StoredEvent]:
        """Return the events of one type that the log holds."""
        return [event for event in self.stored if event["type"] == kind]

    def between(self, call: Call) -> tuple[Millis, Millis]:
        """Return the earliest and the latest instant at which the call can have happened."""
        if "timestamp" not in call:
            return self.began, self.ended
        happened = parse_instant(call["timestamp"])
        return happened, happened + self.ended - self.began


@dataclass(slots=True)
class Trials:
    """All trials of a session; a trial that was run already is returned as it was."""

    stack: Stack
    _done: dict[tuple[Sdk, Scenario], Trial] = field(default_factory=dict)

    def run(self, sdk: Sdk, scenario: Scenario) -> Trial:
        """Return the trial of one SDK in one scenario."""
        wanted = (sdk, scenario)
        if wanted not in self._done:
            self._done[wanted] = self._run(sdk, scenario)
        return self._done[wanted]

    def _run(self, sdk: Sdk, scenario: Scenario) -> Trial:
        lead = f"sdk-{uuid4()}"
        began = datetime.now(UTC)  # noqa: TID251
        calls = sdk.calls(lead, began)
        key = WRONG_KEY if scenario.wrong_key else self.stack.outputs.write_key
        with open_door(urlsplit(self.stack.names.api).netloc, scenario.faults) as (door, url):
            plan = {"host": url, "writeKey": key, "anonymousId": f"{lead}-device", "calls": calls}
            with running(sdk, {**plan, "isLeft": scenario.is_left}) as run:
                if scenario.wrong_key:
                    eventually(lambda: len(run.failures()) == len(calls))
                else:
                    self._wait_for_log(lead, calls, door)
        return Trial(
            calls=calls,
            run=run,
            host=urlsplit(url).netloc,
            exchanges=door.exchanges,
            stored=self._log_of(lead),
            score=None if scenario.wrong_key else self.stack.api.lead(lead)["score"]["total"],
            began=from_datetime(began),
            ended=from_datetime(datetime.now(UTC)),  # noqa: TID251
        )

    def _wait_for_log(self, lead: str, calls: Sequence[Call], door: FlakyDoor) -> None:
        """Return once the log of the lead has all calls, what was refused has come again, and no more is on its way."""

        def arrived() -> bool:
            missing = set(types_of(calls)) - {str(event["type"]) for event in self._log_of(lead)}
            assert not missing, f"not in the log: {missing}"
            assert not door.pending(), "what was refused has not come again"
            return queue_is_empty(self.stack)

        eventually(arrived, timeout_seconds=_SETTLING_SECONDS)

    def _log_of(self, lead: str) -> list[StoredEvent]:
        url, names = self.stack.outputs.endpoint_url, self.stack.names
        with closing(self.stack.session.client("dynamodb", endpoint_url=url, config=Config(proxies={}))) as client:
            reader = DynamoReader(client, names.table, shards=2, retention_days=names.event_retention_days)
            return [*reader.load_events(f"user:{lead}"), *reader.load_events(f"anonymous:{lead}-device")]


@contextmanager
def running(sdk: Sdk, plan: Mapping[str, Any]) -> Iterator[Run]:
    """Yield what is heard of an SDK that has made the calls of a plan; its program lives until the block's end."""
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as noise:
        environment = {"PATH": tool_path(find_project()), "LANG": "C.UTF-8", "HOME": scratch, "TMPDIR": scratch}
        process = subprocess.Popen(
            sdk.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=environment,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        run = Run()
        listener = Thread(target=run.listen, args=(process.stdout,))
        listener.start()
        try:
            # A driver that has died says why on its standard error.
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(plan).encode() + b"\n")
                process.stdin.flush()
            eventually(lambda: run.outcomes or not listener.is_alive(), timeout_seconds=_DRIVER_SECONDS)
            assert run.outcomes, _text_of(noise)
            yield run
            process.stdin.close()
            assert process.wait(_DRIVER_SECONDS) == 0, _text_of(noise)
        finally:
            _end(process)
            listener.join()
            process.stdout.close()


def _text_of(noise: IO[bytes]) -> str:
    noise.seek(0)
    return noise.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the driver with all that it started, and nothing where they have ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
