"""One person on the deployed stack: exported whole, erased for good, swept up after, and not to be brought back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

import pytest
from botocore.credentials import Credentials

from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.items import partition_of
from leadscore_cli.api_client import ApiClient, ApiError
from tests.e2e.deployed import Stack, eventually, logged
from tests.e2e.test_main_road import lead_with_score, normalised, put_on_queue, queue_is_empty

LEAD, DEVICE, MAIL = "erin/o'hara", "erins-phone", "erin@personal.example"
USER = f"user:{LEAD}"
PERSONAL = (LEAD, DEVICE, MAIL, "Erin")


@pytest.fixture
def reader_user(stack: Stack) -> Iterator[Credentials]:
    """A user that may read everything and erase nobody."""
    iam, name = stack.clients.iam, "reads-all"
    iam.create_user(UserName=name)
    allowed = f"arn:aws:execute-api:*:*:{stack.names.api_id}/v1/GET/*"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": allowed}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="reads", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="reads")
    iam.delete_user(UserName=name)


def inflate(content: bytes) -> str:
    """Return what a compressed attribute says: rulesets and what is learned are kept so."""
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(content).decode(errors="replace")


def words_left(stack: Stack) -> list[str]:
    pages = stack.clients.dynamodb.get_paginator("scan").paginate(TableName=stack.names.table, ConsistentRead=True)
    table = json.dumps([item for page in pages for item in page["Items"]], default=inflate)
    return [word for word in PERSONAL if word in table]


def live(stack: Stack) -> None:
    stack.api.send(
        stack.outputs.write_key,
        [
            {"type": "page", "anonymousId": DEVICE, "messageId": "erin-1", "properties": {"path": "/pricing"}},
            {
                "type": "identify",
                "userId": LEAD,
                "anonymousId": DEVICE,
                "messageId": "erin-2",
                "traits": {"name": "Erin O'Hara", "email": MAIL, "title": "VP Sales"},
            },
            {"type": "track", "userId": LEAD, "messageId": "erin-3", "event": "Trial Started"},
            {"type": "group", "userId": LEAD, "messageId": "erin-4", "groupId": "acme", "traits": {"plan": "team"}},
        ],
    )
    eventually(lambda: lead_with_score(stack, DEVICE, 45.0))
    eventually(lambda: queue_is_empty(stack))


def test_a_person_is_exported_erased_swept_up_after_and_stays_gone(stack: Stack, reader_user: Credentials) -> None:
    live(stack)
    lines = [json.loads(line) for line in stack.api.export(DEVICE)]
    assert (lines[0]["id"], lines[0]["accounts"]) == (LEAD, ["acme"])
    assert {line["event"]["messageId"] for line in lines if line["kind"] == "event"} == {
        f"erin-{i}" for i in (1, 2, 3, 4)
    }

    with ApiClient(stack.names.api, stack.names.region, reader_user) as reader:
        assert reader.lead(DEVICE)["id"] == LEAD
        with pytest.raises(ApiError, match="403"):
            reader.erase(DEVICE)
    assert words_left(stack) == list(PERSONAL)

    receipt = stack.api.erase(DEVICE)
    assert (receipt["identities"], receipt["events"], receipt["memberships"]) == (2, 4, 1)
    assert words_left(stack) == []
    with pytest.raises(ApiError) as gone:
        stack.api.lead(DEVICE)
    assert (gone.value.status, gone.value.code) == (404, "unknown_lead")

    # As a worker would leave it that was at work at that moment.
    late = json.loads(normalised(LEAD, "erin-5", type="group", groupId="acme"))["event"]
    dynamodb, table = stack.clients.dynamodb, stack.names.table
    store = DynamoStore(dynamodb, table, shards=2, retention_days=400)
    store.put_events(USER, [late])
    store.add_member("acme", USER)
    put_on_queue(stack, normalised(LEAD, "erin-6", anonymousId=DEVICE))
    assert words_left(stack) != []

    eventually(lambda: words_left(stack) == [], timeout_seconds=120)
    eventually(lambda: queue_is_empty(stack))
    assert words_left(stack) == []
    again = stack.api.erase(DEVICE)
    assert (again["erased_at"], again["identities"]) == (receipt["erased_at"], 0)
    assert logged(stack, "erase", '"IdentitiesErased":[2.0]')
    [tombstone] = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": partition_of(USER)}},
    )["Items"]
    assert set(tombstone) == {"pk", "sk", "v", "erased", "expires_at"}


def test_nobody_is_404_with_code_and_message(stack: Stack) -> None:
    with pytest.raises(ApiError) as missing:
        stack.api.erase("never-seen")
    assert (missing.value.status, missing.value.code) == (404, "unknown_lead")
