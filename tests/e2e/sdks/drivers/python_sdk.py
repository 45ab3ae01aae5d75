"""Makes the calls that it reads from its standard input with a Python SDK, and writes what became of each.

`python python_sdk.py MODULE HOST_SETTING`: the SDK's module and the name of its setting for the host. Segment's SDK
and RudderStack's have the same calls; nothing of either is changed but the host and the key. They tell of failures
alone, by `on_error`; what it was not called for when `shutdown` returns has been delivered.
"""

from __future__ import annotations

import importlib
import json
import sys
from datetime import datetime
from typing import Any

ARGUMENTS = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    **{name: name for name in ("event", "name", "category", "properties", "traits", "context")},
}


def main() -> None:
    sdk: Any = importlib.import_module(sys.argv[1])
    plan = json.loads(sys.stdin.readline())
    outcomes: dict[str, str | None] = {}

    def note_failures(error: Exception, events: list[dict[str, Any]]) -> None:
        outcomes.update((event["type"], str(error)) for event in events)

    sdk.write_key = plan["writeKey"]
    setattr(sdk, sys.argv[2], plan["host"])
    sdk.on_error = note_failures
    for call in plan["calls"]:
        arguments = {ARGUMENTS[name]: value for name, value in call.items() if name in ARGUMENTS}
        getattr(sdk, call["type"])(**arguments, timestamp=datetime.fromisoformat(call["timestamp"]))
    sdk.shutdown()
    note = {"outcomes": {call["type"]: outcomes.get(call["type"]) for call in plan["calls"]}}
    sys.stdout.write(json.dumps(note) + "\n")


if __name__ == "__main__":
    main()
