"""The history of published rulesets in the one table.

pk        sk                     what
RULESETS  PUBLICATION#<number>   who made which version the active one, when and why; a number is claimed once
RULESETS  DOCUMENT#<version>     the document of a version, deflated; kept for good, so that any can be gone back to

A scan of leads does not meet them: nothing here is of a person.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leadscore.core.instants import format_instant, parse_instant
from leadscore.usecases.publishing import Publication

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

RULESETS = "RULESETS"
_PUBLICATION, _DOCUMENT = "PUBLICATION#", "DOCUMENT#"
_NUMBER_DIGITS = 9


class DynamoLedger:
    """The publisher's Ledger on the one table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def newest(self, most: int, below: int | None = None) -> Sequence[Publication]:
        """Return the newest entries whose number is below that, the newest first."""
        first = _sort_key(0)
        last = _sort_key(10**_NUMBER_DIGITS - 1 if below is None else below - 1)
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={":pk": {"S": RULESETS}, ":first": {"S": first}, ":last": {"S": last}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=most,
        )
        return [_read_publication(item) for item in answer["Items"]]

    def claim(self, entry: Publication) -> bool:
        """Write an entry, and say whether its number was free."""
        try:
            self._put(entry, condition="attribute_not_exists(pk)")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def note(self, entry: Publication) -> None:
        """Write an entry in place of the one of its number."""
        self._put(entry, condition="attribute_exists(pk)")

    def keep_document(self, version: str, document: str) -> None:
        """Keep the document of a version."""
        item: Item = {**_document_key(version), "content": {"B": zlib.compress(document.encode(), 9)}}
        self._client.put_item(TableName=self._table, Item=item)

    def find_documents(self, version: str) -> Sequence[str]:
        """Return the documents that are kept of the versions that begin so, two at most."""
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :version)",
            ExpressionAttributeValues={":pk": {"S": RULESETS}, ":version": _document_key(version)["sk"]},
            ConsistentRead=True,
            Limit=2,
        )
        return [zlib.decompress(item["content"]["B"]).decode() for item in answer["Items"]]

    def _put(self, entry: Publication, condition: str) -> None:
        item: Item = {
            "pk": {"S": RULESETS},
            "sk": {"S": _sort_key(entry.number)},
            "version": {"S": entry.version},
            "replaces": {"S": entry.replaces},
            "at": {"S": format_instant(entry.at)},
            "by": {"S": entry.by},
            "why": {"S": entry.why},
            "kind": {"S": entry.kind},
            "status": {"S": entry.status},
            "folder": {"S": entry.folder},
            "parts": {"N": str(entry.parts)},
        }
        self._client.put_item(TableName=self._table, Item=item, ConditionExpression=condition)


def _read_publication(item: Item) -> Publication:
    kind: Any = item["kind"]["S"]
    status: Any = item["status"]["S"]
    return Publication(
        number=int(item["sk"]["S"].removeprefix(_PUBLICATION)),
        version=item["version"]["S"],
        replaces=item["replaces"]["S"],
        at=parse_instant(item["at"]["S"]),
        by=item["by"]["S"],
        why=item["why"]["S"],
        kind=kind,
        status=status,
        folder=item["folder"]["S"],
        parts=int(item["parts"]["N"]),
    )


def _sort_key(number: int) -> str:
    return f"{_PUBLICATION}{number:0{_NUMBER_DIGITS}}"


def _document_key(version: str) -> Item:
    return {"pk": {"S": RULESETS}, "sk": {"S": f"{_DOCUMENT}{version}"}}
