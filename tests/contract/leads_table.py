"""The table as the stack deploys it; the infrastructure tests hold the template against this very definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
    )

TABLE = "leads"
KEY_SCHEMA: list[KeySchemaElementTypeDef] = [
    {"AttributeName": "pk", "KeyType": "HASH"},
    {"AttributeName": "sk", "KeyType": "RANGE"},
]
INDEXES: list[GlobalSecondaryIndexTypeDef] = [
    {
        "IndexName": "ranking",
        "KeySchema": [
            {"AttributeName": "rank_pk", "KeyType": "HASH"},
            {"AttributeName": "rank_key", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["tier", "due_key", "ruleset"]},
    },
    {
        "IndexName": "due",
        "KeySchema": [
            {"AttributeName": "due_pk", "KeyType": "HASH"},
            {"AttributeName": "due_key", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    },
    {
        "IndexName": "people",
        "KeySchema": [
            {"AttributeName": "account", "KeyType": "HASH"},
            {"AttributeName": "rank_key", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    },
    {
        "IndexName": "journal",
        "KeySchema": [
            {"AttributeName": "journal_pk", "KeyType": "HASH"},
            {"AttributeName": "journal_key", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    },
]
ATTRIBUTES: list[AttributeDefinitionTypeDef] = [
    {"AttributeName": name, "AttributeType": "S"}
    for name in ("account", "due_key", "due_pk", "journal_key", "journal_pk", "pk", "rank_key", "rank_pk", "sk")
]


def create_leads_table() -> None:
    """Create the table in the account of the moment."""
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=KEY_SCHEMA,
        AttributeDefinitions=ATTRIBUTES,
        GlobalSecondaryIndexes=INDEXES,
    )
