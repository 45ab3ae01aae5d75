"""Starts, finds and ends the embedded AWS of one state directory.

Only a process that holds the lock on the directory's `emulator.json` is taken for the emulator, so no pid of another
program is ever signalled, and two directories never meet.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from leadscore_cli.emulator_process import PLACE_FILE
from leadscore_cli.failures import CommandError, last_lines
from leadscore_cli.locks import is_held

LOG_FILE = "emulator.log"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Emulator:
    """A living emulator: the pid of its process (which leads its process group) and its two loopback ports."""

    pid: int
    aws_port: int
    front_door_port: int

    @property
    def endpoint_url(self) -> str:
        """The endpoint for AWS clients."""
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def api(self) -> str:
        """The base URL of the deployed API, ending in /v1."""
        return f"http://127.0.0.1:{self.front_door_port}/v1"

    @classmethod
    def of(cls, directory: Path) -> Self | None:
        """Return the emulator that lives in a state directory, or None."""
        place = directory / PLACE_FILE
        if not is_held(place):
            return None
        try:
            return cls(**json.loads(place.read_text(encoding="ascii")))
        except (ValueError, TypeError):
            return None  # it has the lock and is about to write its ports

    def answers(self) -> bool:
        """Return whether the emulator serves requests."""
        url = f"{self.endpoint_url}/_ministack/health"
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def start_emulator(directory: Path, *, outlives_this_process: bool = True, rests: bool = True) -> Emulator:
    """Start an emulator for an existing state directory and return it once it answers."""
    log = directory / LOG_FILE
    pid = _spawn(directory, log, outlives_this_process=outlives_this_process, rests=rests)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if _has_ended(pid):
            raise CommandError("the local AWS ended while it was starting", last_lines(log))
        emulator = Emulator.of(directory)
        if emulator is not None and emulator.pid == pid and emulator.answers():
            return emulator
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise CommandError(f"the local AWS did not answer within {_START_SECONDS:.0f} s", last_lines(log))


def stop_emulator(directory: Path) -> bool:
    """End the emulator of a state directory with its Lambda workers; False when none lives there."""
    place = directory / PLACE_FILE
    emulator = _settled(directory)
    if emulator is None:
        return False
    os.kill(emulator.pid, signal.SIGTERM)
    if not _wait_until_free(place):
        os.killpg(emulator.pid, signal.SIGKILL)
        if not _wait_until_free(place):
            raise CommandError(f"the local AWS (process {emulator.pid}) cannot be ended")
    _reap(emulator.pid)
    return True


def _spawn(directory: Path, log: Path, *, outlives_this_process: bool, rests: bool) -> int:
    """Start the process in a session of its own, with nothing of this process's environment or files."""
    arguments = [sys.executable, "-m", "leadscore_cli.emulator_process", str(directory)]
    if not rests:
        arguments.append("--without-rest")
    if outlives_this_process:
        return _spawn_with(arguments, directory, log)
    # The other end stays open in this process alone, and the kernel closes it however this process ends.
    lifeline, _ = os.pipe()
    try:
        os.set_inheritable(lifeline, True)  # noqa: FBT003
        return _spawn_with([*arguments, f"--lifeline={lifeline}"], directory, log)
    finally:
        os.close(lifeline)


def _spawn_with(arguments: list[str], directory: Path, log: Path) -> int:
    standard_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions = [standard_input, output, (os.POSIX_SPAWN_DUP2, 1, 2)]
    return os.posix_spawn(arguments[0], arguments, _environment(directory), file_actions=actions, setsid=True)


def _environment(directory: Path) -> dict[str, str]:
    scratch = directory / "tmp"
    scratch.mkdir(exist_ok=True)
    return {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "HOME": str(scratch),
        "IOT_MTLS_ENABLED": "0",
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "SFTP_ENABLED": "0",
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }


def _settled(directory: Path) -> Emulator | None:
    """Return the directory's emulator, waiting for one that is about to write its ports."""
    deadline = time.monotonic() + _STOP_SECONDS
    while (emulator := Emulator.of(directory)) is None and is_held(directory / PLACE_FILE):
        if time.monotonic() > deadline:
            raise CommandError(f"a process holds {directory / PLACE_FILE} and does not say which it is")
        time.sleep(0.02)
    return emulator


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _wait_until_free(place: Path) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(place):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # another process started it
        os.waitpid(pid, 0)
