"""The deployed API against its own OpenAPI document: schemathesis, with all its checks on, finds nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from leadscore.adapters.desks import DynamoDesks
from leadscore.api_document import document_text
from leadscore.core.instants import parse_instant
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore_cli.insights_command import refresh_insights
from leadscore_cli.target import choose_target
from tests.e2e.contract.signing import Signed
from tests.e2e.deployed import Stack, eventually

ROOT = Path(__file__).parents[2]
CONTRACT = Path(__file__).parent / "contract"
LEADS = [f"contract-{number}" for number in range(4)]
ACCOUNT = "contract-account"
# Of a lead that nothing else is about, so that no snooze changes what others are told.
ALERT = AlertRecord(
    "c0417ac7" * 3,
    "alert",
    None,
    "lead:contract",
    parse_instant("2026-01-31T12:00:00Z"),
    [Entry("contract", "tier", "hot", 53.0, {}, None)],
    token="c0417ac7" * 6,
)
TIMEOUT_SECONDS = 30
SHORT = "Short$"


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[Signed]:
    """A user who may invoke the API and nothing else."""
    iam, name, names = stack.clients.iam, "contract-reader", stack.names
    iam.create_user(UserName=name)
    resource = f"arn:aws:execute-api:{names.region}:000000000000:{names.api_id}/v1/*"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="invoke", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield Signed(key["AccessKeyId"], key["SecretAccessKey"], names.region)
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="invoke")
    iam.delete_user(UserName=name)


def events() -> list[dict[str, object]]:
    said: list[dict[str, object]] = [
        {"type": "identify", "traits": {"title": "VP Sales", "owner": "Eve", "company": {"employees": 300}}},
        {"type": "page", "properties": {"path": "/pricing"}},
        {"type": "track", "event": "Trial Started"},
        {"type": "group", "groupId": ACCOUNT, "traits": {"name": "Contract Inc."}},
    ]
    return [
        {"messageId": f"{lead}-{number}", "userId": lead, **each} for lead in LEADS for number, each in enumerate(said)
    ]


def get(stack: Stack, reader: Signed, path: str) -> dict[str, Any]:
    answer = requests.get(f"{stack.names.api}{path}", auth=reader, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


@pytest.fixture(scope="module")
def traffic(stack: Stack, reader: Signed) -> None:
    """Leads and an account to be read, and an alert to be judged."""
    DynamoDesks(stack.clients.dynamodb, stack.names.table, shards=1, retention_days=400).put_alert(ALERT)
    stack.api.send(stack.outputs.write_key, events())

    def all_there() -> bool:
        leads = [get(stack, reader, f"/leads/{lead}") for lead in LEADS]
        people = get(stack, reader, f"/accounts/{ACCOUNT}")["people_total"]
        return people == len(leads) and all(len(lead["events"]) == 4 for lead in leads)

    assert eventually(all_there, timeout_seconds=60)


def narrowed(stack: Stack, reader: Signed) -> dict[str, Any]:
    """The document, with what is right only on this stage: its tiers, its cursors, and instants within its reach."""
    document: dict[str, Any] = json.loads(document_text())
    parameters, schemas = document["components"]["parameters"], document["components"]["schemas"]
    tiers = [tier["name"] for tier in get(stack, reader, "/tiers")["tiers"]]
    export = requests.get(f"{stack.names.api}/leads/{LEADS[0]}/export", auth=reader, timeout=TIMEOUT_SECONDS)
    assert json.loads(export.text.splitlines()[-1]) == {"kind": "page", "next_cursor": None}
    values: dict[str, list[object]] = {
        "Tier": [*tiers],
        "AccountTier": [tier for tier in tiers if tier != "disqualified"],
        "Cursor": [get(stack, reader, "/leads?limit=1")["next_cursor"]],
        "TimelineCursor": [get(stack, reader, f"/leads/{LEADS[0]}?limit=1")["next_cursor"]],
        # No page of this export is ever full: this is the place before its first event.
        "ExportCursor": ["WzAsICIiLCAiIiwgIiJd"],
        "At": ["2026-01-31T12:00:00Z", "2030-01-31T12:00:00.5+01:00"],
    }
    for name, allowed in values.items():
        assert None not in allowed
        parameters[name]["schema"]["enum"] = allowed
    parameters["AlertId"]["schema"]["enum"] = [ALERT.id]
    parameters["AlertedLead"]["schema"]["enum"] = [ALERT.entries[0].lead]
    parameters["AlertToken"]["schema"]["enum"] = [ALERT.token]
    parameters["LeadId"]["schema"]["examples"] = LEADS
    parameters["AccountId"]["schema"]["examples"] = [ACCOUNT]
    active = get(stack, reader, "/ruleset")
    for name in ("SaidRuleset", "SaidDraft"):
        schemas[name]["properties"]["document"] = {"const": active["document"]}
    for name, field in (("SaidRuleset", "replaces"), ("SaidRollback", "replaces"), ("SaidRollback", "version")):
        schemas[name]["properties"][field] = {"const": active["version"]}
    schemas["SentInstant"] = {"enum": ["2026-01-31T12:00:00Z", "2026-02-01T13:00:00.5+01:00", "", None]}
    return document


@pytest.mark.usefixtures("traffic")
def test_schemathesis_finds_nothing(stack: Stack, reader: Signed, tmp_path: Path) -> None:
    # Without a result there is nothing to read but that there is none.
    assert refresh_insights(choose_target("local", stack.stage.directory)).is_complete
    location = tmp_path / "openapi.json"
    document = narrowed(stack, reader)
    location.write_text(json.dumps(document), encoding="utf-8")
    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
            *("--config-file", str(CONTRACT / "schemathesis.toml"), "run", str(location), "--url", stack.names.api),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            # The SDKs' short names of paths; that they are described as the long ones are is a test of its own.
            *("--exclude-operation-id-regex", SHORT),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.e2e.contract.hooks",
            "CONTRACT_STAGE": json.dumps(
                {
                    "reader": [reader.access_key, reader.secret_key],
                    "region": reader.region,
                    "write_key": stack.outputs.write_key,
                }
            ),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    names = [
        item[verb]["operationId"]
        for item in document["paths"].values()
        for verb in item.keys() & {"get", "head", "post", "put", "delete"}
    ]
    assert re.search(rf"Tested: +{sum(not re.search(SHORT, name) for name in names)}\b", run.stdout)
    [generated] = re.findall(r"(\d+) generated", run.stdout)
    assert int(generated) > 1000


def test_the_document_is_served_to_everybody_and_kept_by_its_tag(stack: Stack) -> None:
    url = f"{stack.names.api}/openapi.json"
    first = requests.get(url, timeout=TIMEOUT_SECONDS)
    again = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=TIMEOUT_SECONDS)

    assert (first.status_code, first.text) == (200, document_text())
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/nothing", 404, "not_found", None),
        ("GET", "/leads/", 401, "missing_authentication", None),
        ("GET", "/leads/ada/export/more", 404, "not_found", None),
        ("GET", "/Leads", 404, "not_found", None),
        ("GET", "/people/leads", 404, "not_found", None),
        ("POST", "/leads", 405, "method_not_allowed", "GET"),
        ("PUT", "/leads/ada", 405, "method_not_allowed", "GET, DELETE"),
        ("DELETE", "/batch", 405, "method_not_allowed", "POST"),
        ("POST", "/sourceConfig", 405, "method_not_allowed", "GET, HEAD"),
        ("GET", "/leads", 401, "missing_authentication", None),
        ("DELETE", "/leads/ada", 401, "missing_authentication", None),
    ],
)
def test_strangers_find_nothing_by_any_spelling(
    stack: Stack, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = requests.request(method, f"{stack.names.api}{path}", timeout=TIMEOUT_SECONDS)

    assert (answer.status_code, answer.json()["code"], answer.headers.get("Allow")) == (status, code, allow)
    assert answer.json()["message"]


@pytest.mark.usefixtures("traffic")
def test_a_lead_is_read_by_an_id_with_any_characters(stack: Stack, reader: Signed) -> None:
    odd = 'a/b %41?#"c'
    event = {"type": "track", "event": "Trial Started", "userId": odd, "messageId": "odd-1"}
    stack.api.send(stack.outputs.write_key, [event])
    lead = eventually(lambda: get(stack, reader, f"/leads/{quote(odd, safe='')}"))

    assert (lead["id"], [each["messageId"] for each in lead["events"]]) == (odd, ["odd-1"])
