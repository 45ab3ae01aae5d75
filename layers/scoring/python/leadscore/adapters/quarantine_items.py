"""The items of the quarantine in the one table: their keys, and how they are written and read back.

    pk          sk                       what
    ID#<hash>   QUARANTINED#<messageId>  an event that must not count, with the key of the index
    ID#<hash>   MARK#HELD                that the identity's events must not count, and why
    ID#<hash>   MARK#BURST#<window>      the messages that were told of for one window of time, for some hours

    index    partition                        sort key
    journal  QUARANTINE#<reason>#<shard>      when the event was received, then its message id

Invariant: nothing here begins as an event of the log does, so that no replay sees it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from zlib import crc32

from leadscore.adapters.items import compact, partition_of
from leadscore.core.identity import Identity
from leadscore.core.instants import HOUR, Millis, format_instant, parse_instant
from leadscore.quarantine import Reason
from leadscore.usecases.records import Quarantined

if TYPE_CHECKING:
    from leadscore.adapters.items import Item

# A partition takes about a thousand writes a second, and a flood of bots is one reason's.
JOURNAL_SHARDS = 4
QUARANTINED_PREFIX, MARK_PREFIX = "QUARANTINED#", "MARK#"
# A message that failed comes again within hours; what it was counted with must still be known then.
_TALLY_KEPT: Millis = 6 * HOUR


def quarantined_key(identity: Identity, message: str) -> Item:
    """Return the key of one event in the quarantine."""
    return {"pk": {"S": partition_of(identity)}, "sk": {"S": f"{QUARANTINED_PREFIX}{message}"}}


def held_key(identity: Identity) -> Item:
    """Return the key of the mark that an identity's events must not count."""
    return {"pk": {"S": partition_of(identity)}, "sk": {"S": f"{MARK_PREFIX}HELD"}}


def tally_key(identity: Identity, window: str) -> Item:
    """Return the key of what was told of an identity for one window of time."""
    return {"pk": {"S": partition_of(identity)}, "sk": {"S": f"{MARK_PREFIX}BURST#{window}"}}


def journal_partition(reason: Reason, shard: int) -> str:
    """Return the partition of the index in which the events of one reason are, those of one shard."""
    return f"QUARANTINE#{reason}#{shard}"


def quarantined_item(quarantined: Quarantined, retention: Millis) -> Item:
    """Return the item of an event that must not count; it goes when the log would have let go of the event."""
    event = quarantined.event
    message, received = str(event["messageId"]), str(event.get("receivedAt") or event["timestamp"])
    shard = crc32(message.encode()) % JOURNAL_SHARDS
    item: Item = {
        **quarantined_key(quarantined.identity, message),
        "identity": {"S": quarantined.identity},
        "event": {"S": compact(event)},
        "reason": {"S": quarantined.reason},
        "source": {"S": quarantined.source},
        "at": {"S": format_instant(quarantined.at)},
        "expires_at": {"N": str((parse_instant(received) + retention) // 1000)},
        "journal_pk": {"S": journal_partition(quarantined.reason, shard)},
        "journal_key": {"S": f"{received}#{message}"},
    }
    return {**item, "imported": {"BOOL": True}} if quarantined.imported else item


def read_quarantined(item: Item) -> Quarantined:
    """Return the event of an item."""
    return Quarantined(
        identity=item["identity"]["S"],
        event=json.loads(item["event"]["S"]),
        reason=Reason(item["reason"]["S"]),
        source=item["source"]["S"],
        at=parse_instant(item["at"]["S"]),
        imported="imported" in item,
    )


def held_item(identity: Identity, reason: Reason, at: Millis, retention: Millis) -> Item:
    """Return the item of a mark; it goes when the newest event that it was made for would be gone."""
    return {
        **held_key(identity),
        "reason": {"S": reason},
        "at": {"S": format_instant(at)},
        "expires_at": {"N": str((at + retention) // 1000)},
    }


def tally_end(at: Millis) -> int:
    """Return until when a tally of that instant is kept, in seconds."""
    return (at + _TALLY_KEPT) // 1000
