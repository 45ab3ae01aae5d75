"""What is learned from history in the one table: the samples of a run's segments, and the results that readers get.

    pk        sk                                       what
    LEARNING  RUN#<run>#<segment>#<call>#<chunk>       a part of the sample that one call took; gone after a day
    LEARNING  RESULT#<run>#<chunk>                     a part of what a run came to, and when that run began
    LEARNING  INSIGHTS                                 which run's result readers get
    LEARNING  CALIBRATION                              the calibration of that run, absent where it came to none

Invariants: a reader gets the whole of one run's result or nothing, because the item that names the run is written last,
together with the calibration; a sample counts as taken once its first part is there, which is written last; and no
part is removed of a run that may still be about to name itself, however many conclude at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from leadscore.core.instants import DAY, Millis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item
    from leadscore.learning.calibration import DatedCalibration

_PARTITION = "LEARNING"
_INSIGHTS: Item = {"pk": {"S": _PARTITION}, "sk": {"S": "INSIGHTS"}}
_CALIBRATION: Item = {"pk": {"S": _PARTITION}, "sk": {"S": "CALIBRATION"}}
# An item takes 400 KB with its keys.
_CHUNK_BYTES = 300_000
# A run whose samples are gone cannot be concluded any more.
_SAMPLES_KEPT = DAY
# A reader that comes while the result is replaced may find a part of the old one gone, and reads the new one then.
_MOST_READS = 3


def load_calibration(client: DynamoDBClient, table: str) -> DatedCalibration | None:
    """Return the calibration in force, None where there is none: one read of one small item."""
    found = client.get_item(TableName=table, Key=_CALIBRATION)
    if "Item" not in found:
        return None
    # Imported where there is one: a cold function's first alert must not wait for what it has no use for.
    from leadscore.learning.calibration import DatedCalibration

    return DatedCalibration.from_dict(json.loads(found["Item"]["content"]["S"]))


class DynamoInsights:
    """The use cases' InsightsStore on one table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def save_sample(self, run: str, segment: int, call: int, sample: Mapping[str, object], now: Millis) -> None:
        """Write what one call of a segment took; written again, it replaces what was there."""
        prefix = f"RUN#{run}#{segment}#{call}#"
        self._write_parts(prefix, sample, {"expires_at": {"N": str((now + _SAMPLES_KEPT) // 1000)}})

    def load_sample(self, run: str, segment: int, call: int) -> dict[str, Any] | None:
        """Return what one call took; None where it is not all there."""
        return self._read_parts(f"RUN#{run}#{segment}#{call}#")

    def load(self) -> dict[str, Any] | None:
        """Return the result that readers get, None before the first; raises UnreadableResultError."""
        for _ in range(_MOST_READS):
            run = self._current()
            if run is None:
                return None
            found = self._read_parts(f"RESULT#{run}#")
            if found is not None:
                return found
        # Imported where it is raised: hot functions read the calibration from here.
        from leadscore.usecases.learning import UnreadableResultError

        raise UnreadableResultError("a part of the stored insights is missing")

    def replace(
        self, run: str, began: Millis, result: Mapping[str, object], calibration: DatedCalibration | None
    ) -> None:
        """Make this what readers get, with its calibration; parts of runs that began over a day before are removed."""
        self._write_parts(f"RESULT#{run}#", result, {"began": {"N": str(began)}})
        switch: Any = {"Put": {"TableName": self._table, "Item": {**_INSIGHTS, "run": {"S": run}}}}
        held: Any = {"Delete": {"TableName": self._table, "Key": _CALIBRATION}}
        if calibration is not None:
            item = {**_CALIBRATION, "content": {"S": json.dumps(calibration.to_dict())}}
            held = {"Put": {"TableName": self._table, "Item": item}}
        self._client.transact_write_items(TransactItems=[switch, held])
        for key in list(self._parts_of_runs_before(began - _SAMPLES_KEPT)):
            self._client.delete_item(TableName=self._table, Key=key)

    def _current(self) -> str | None:
        found = self._client.get_item(TableName=self._table, Key=_INSIGHTS, ConsistentRead=True)
        return found["Item"]["run"]["S"] if "Item" in found else None

    def _write_parts(self, prefix: str, content: Mapping[str, object], more: Item) -> None:
        # Imported where it is needed: hot functions read the calibration from here.
        from gzip import compress

        packed = compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
        parts = [packed[start : start + _CHUNK_BYTES] for start in range(0, len(packed), _CHUNK_BYTES)]
        for number, part in reversed(list(enumerate(parts))):
            item: Item = {**_key(prefix, number), **more, "part": {"B": part}, "parts": {"N": str(len(parts))}}
            self._client.put_item(TableName=self._table, Item=item)

    def _read_parts(self, prefix: str) -> dict[str, Any] | None:
        from gzip import decompress

        first = self._part(prefix, 0)
        if first is None:
            return None
        found = [first, *(self._part(prefix, number) for number in range(1, int(first["parts"]["N"])))]
        parts = [bytes(part["part"]["B"]) for part in found if part is not None]
        if len(parts) < len(found):
            return None
        content: dict[str, Any] = json.loads(decompress(b"".join(parts)))
        return content

    def _part(self, prefix: str, number: int) -> Item | None:
        found = self._client.get_item(TableName=self._table, Key=_key(prefix, number), ConsistentRead=True)
        return found.get("Item")

    def _parts_of_runs_before(self, instant: Millis) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            FilterExpression="attribute_not_exists(began) OR began < :instant",
            ProjectionExpression="pk, sk",
            ExpressionAttributeValues={
                ":pk": {"S": _PARTITION},
                ":prefix": {"S": "RESULT#"},
                ":instant": {"N": str(instant)},
            },
        )
        for page in pages:
            yield from page["Items"]


def _key(prefix: str, number: int) -> Item:
    return {"pk": {"S": _PARTITION}, "sk": {"S": f"{prefix}{number}"}}
