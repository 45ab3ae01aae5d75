"""What comes with an event in its message: how it came, and what is said about how to take it."""

from __future__ import annotations

from dataclasses import dataclass

from leadscore.edge import Edge
from leadscore.usecases.records import Event

NO_EDGE = Edge()


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and what its message says of how it came.

    `imported`: it is history. `cleared`: it counts, whatever it looks like. `source`: by whose key or from which sender
    it came.
    """

    event: Event
    imported: bool = False
    cleared: bool = False
    source: str = ""
    edge: Edge = NO_EDGE
