"""The way out to machines: the EventBridge bus that they listen on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from leadscore.core.changes import AccountChange, Change
from leadscore.core.signals import Signal, detail_text, name_of, signal_of

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

BUS_SOURCE = "leadscore"
COOLING_CONTINUES, NURTURING_CONTINUES = "CoolingContinues", "NurturingContinues"


class AnnouncementError(RuntimeError):
    """The bus did not take an announcement, and says why."""


class ChangeBus:
    """Puts signals on the bus, each with its name as the detail type."""

    def __init__(self, client: EventBridgeClient, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def announce(self, change: Change | AccountChange) -> None:
        """Put what machines get of a change; raises AnnouncementError when the bus refuses it."""
        self.put(signal_of(change))

    def put(self, signal: Signal) -> None:
        """Put a signal; raises AnnouncementError when the bus refuses it, which PutEvents itself does not."""
        _put(self._client, self._bus_name, name_of(signal), detail_text(signal))


class Continuation:
    """Has a function called again, by an event of that name that a rule hands to it."""

    def __init__(self, client: EventBridgeClient, bus_name: str, name: str) -> None:
        self._client = client
        self._bus_name = bus_name
        self._name = name

    def go_on(self, mark: str) -> None:
        """Put the event; raises AnnouncementError when the bus refuses it."""
        _put(self._client, self._bus_name, self._name, json.dumps({"after": mark}))


def _put(client: EventBridgeClient, bus_name: str, detail_type: str, detail: str) -> None:
    entry: PutEventsRequestEntryTypeDef = {
        "EventBusName": bus_name,
        "Source": BUS_SOURCE,
        "DetailType": detail_type,
        "Detail": detail,
    }
    answer = client.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        refused = answer["Entries"][0]
        raise AnnouncementError(f"{refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")
