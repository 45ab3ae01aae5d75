"""The emulator's own process: `python -m leadscore_cli.emulator_process DIRECTORY [--lifeline FD] [--without-rest]`.

It serves ministack behind the front door on two loopback ports that the kernel chooses, and holds the lock on the
directory's `emulator.json` from before it listens until it is gone, so that the file's pid and ports can be trusted
exactly while the lock is held. The lifeline is the descriptor of a pipe: when its other end closes, the process ends.

`--without-rest` is for the benchmark of latency alone: what takes messages from queues to functions then looks again
at once where it has looked in vain, and not after 50 ms. AWS has no such rest.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hypercorn.asyncio import serve
from hypercorn.config import Config

from leadscore_cli.front_door import FrontDoor
from leadscore_cli.locks import take_lock

PLACE_FILE: Final = "emulator.json"
DEPLOYED_API_FILE: Final = "deployed-api"
# AWS has no actions for SQS's batch calls and asks for those of the single calls; ministack asks for the former.
_BATCH_ACTIONS: Final = {
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
# The seconds for which the one thread that looks into all queues sleeps after it has twice looked in vain.
_REST: Final = "_ESM_IDLE_WAKE_GAP_SECONDS"


def main() -> None:
    """Serve until SIGTERM or the lifeline's end, then go together with the Lambda workers that the emulator started."""
    parser = argparse.ArgumentParser(prog="python -m leadscore_cli.emulator_process")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--without-rest", action="store_true")
    asked = parser.parse_args()
    directory: Path = asked.directory
    place = take_lock(directory / PLACE_FILE)
    aws, front_door = _listen(), _listen()
    aws_port, front_door_port = _port(aws), _port(front_door)
    written = {"pid": os.getpid(), "aws_port": aws_port, "front_door_port": front_door_port}
    os.ftruncate(place, 0)
    os.pwrite(place, json.dumps(written).encode(), 0)
    os.environ["GATEWAY_PORT"] = str(aws_port)  # ministack reads it while it is imported
    emulator = importlib.import_module("ministack.app").app
    _authorise_batches_as_aws_does()
    if asked.without_rest:
        _look_into_queues_without_rest()
    config = Config()
    config.bind = [f"fd://{aws.detach()}", f"fd://{front_door.detach()}"]
    config.keep_alive_timeout = 75
    application = FrontDoor(emulator, front_door_port, lambda: _deployed_api(directory))
    asyncio.run(_serve_until_told(application, config, asked.lifeline))


async def _serve_until_told(application: FrontDoor, config: Config, lifeline: int | None) -> None:
    told, never = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    if lifeline is not None:
        asyncio.get_running_loop().add_reader(lifeline, told.set)
    serving = asyncio.create_task(serve(application, config, mode="asgi", shutdown_trigger=never.wait))  # type: ignore[arg-type]
    await asyncio.wait({serving, asyncio.create_task(told.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    # A graceful end would wait for clients to hang up and for functions to return, and start new workers meanwhile.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(0)


def _authorise_batches_as_aws_does() -> None:
    actions = importlib.import_module("ministack.core.iam_actions")
    extract: Callable[..., str | None] = actions.extract_iam_action

    def extract_action(*request: object) -> str | None:
        action = extract(*request)
        return _BATCH_ACTIONS.get(action, action) if action else None

    actions.__dict__["extract_iam_action"] = extract_action


def _look_into_queues_without_rest() -> None:
    poller = importlib.import_module("ministack.services.lambda_svc").__dict__
    if _REST not in poller:
        raise RuntimeError(f"ministack has no {_REST} any more")
    poller[_REST] = 0


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _deployed_api(directory: Path) -> str | None:
    try:
        return (directory / DEPLOYED_API_FILE).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    main()
