"""What CRMs get: the template's own expressions, applied to real events, against the requests that CRMs document."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonata import Jsonata  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator

from infra.crm import MOST_IN_A_BATCH, TOLD, CrmError, parse_crms
from infra.stages import stage_named
from leadscore.adapters.topics import BUS_SOURCE
from leadscore.core.changes import Change, ChangeKind, Person
from leadscore.core.matcher import Matcher
from leadscore.core.patterns import parse_pattern
from leadscore.core.signals import LONGEST_TEXT, Signal, detail_text, name_of, signal_of
from tests.infra.synthesized import Assembly, assemblies, shown
from tests.unit.test_signals import LEAD, QUIET

# developers.hubspot.com, API reference, "Upsert contacts" of 2026-03: the body, and at most 100 inputs.
HUBSPOT = {
    "type": "object",
    "properties": {
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "minLength": 1},
                    "idProperty": {"const": "email"},
                    "objectWriteTraceId": {"type": "string"},
                    "properties": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "required": ["id", "properties"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["inputs"],
    "additionalProperties": False,
}
# developer.salesforce.com, REST API guide, "Upsert Records Using sObject Collections": the body, and at most 200
# records of the one type that the address names; the fields are those that the README has made.
SALESFORCE = {
    "type": "object",
    "properties": {
        "allOrNone": {"type": "boolean"},
        "records": {
            "type": "array",
            "minItems": 1,
            "maxItems": 200,
            "items": {
                "type": "object",
                "properties": {
                    "attributes": {
                        "type": "object",
                        "properties": {"type": {"const": "Lead_Score__c"}},
                        "required": ["type"],
                        "additionalProperties": False,
                    },
                    "Lead_Id__c": {"type": "string", "minLength": 1},
                    "Email__c": {"type": "string"},
                    "Tier__c": {"type": "string"},
                    "Score__c": {"type": "number"},
                    "Fit__c": {"type": "number"},
                    "Engagement__c": {"type": "number"},
                    "Reasons__c": {"type": "string", "maxLength": 255},
                    "Changed_At__c": {"type": "string"},
                },
                "required": ["attributes", "Lead_Id__c"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["allOrNone", "records"],
    "additionalProperties": False,
}
DOCUMENTED = {"HubSpot": HUBSPOT, "Salesforce": SALESFORCE}
CRMS = sorted(DOCUMENTED)
CHANGE = replace(
    LEAD,
    reasons=[
        {"criterion": "free-trial", "label": 'Said "now", \\o/', "points": 20.0},
        {"criterion": "pricing", "label": "Read {prices} <b>", "points": 15.0},
    ],
)
ADA = CHANGE.person


@pytest.fixture
def guarded() -> Assembly:
    return Assembly(assemblies() / "guarded", "dev")


def found(guarded: Assembly, kind: str) -> dict[str, dict[str, Any]]:
    resources = guarded.template("crm")["Resources"].items()
    return {shown(name): each["Properties"] for name, each in resources if each["Type"] == kind}


def told(change: Change = CHANGE, **person: str) -> Signal:
    return signal_of(replace(change, person={**change.person, **person}))  # type: ignore[typeddict-item]


def envelope(signal: Signal) -> dict[str, Any]:
    """An event as the bus gives it to its rules."""
    return {"source": BUS_SOURCE, "detail-type": name_of(signal), "detail": json.loads(detail_text(signal))}


def take(guarded: Assembly, crm: str, *signals: Signal) -> list[dict[str, Any]]:
    """The records that the pipe hands on: what the rule's pattern lets through, as the rule shapes it."""
    rule = found(guarded, "AWS::Events::Rule")[f"{crm}Take"]
    [target] = rule["Targets"]
    assert target["InputPath"] == "$.detail"
    pattern = parse_pattern(rule["EventPattern"], "", [])
    assert pattern is not None
    matcher = Matcher([pattern])
    events = [event for event in map(envelope, signals) if matcher.match_bits(event)]
    return [
        # docs.aws.amazon.com/eventbridge, "Amazon Simple Queue Service as a source": an example of its own values.
        {
            "messageId": f"059f36b4-87a3-44ab-83d2-{number:012}",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a" * 12,
            "body": json.dumps(event["detail"], ensure_ascii=False, separators=(",", ":")),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1545082649183",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1545082649185",
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
            "awsRegion": "us-east-2",
        }
        for number, event in enumerate(events)
    ]


def machine_of(guarded: Assembly, crm: str) -> dict[str, Any]:
    machine = found(guarded, "AWS::StepFunctions::StateMachine")[f"{crm}Machine"]
    text = machine["DefinitionString"]
    parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
    definition: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "REF" for part in parts))
    return {**machine, "Definition": definition}


def request_for(guarded: Assembly, crm: str, *signals: Signal) -> dict[str, Any]:
    """The body of the request to a CRM after these events: rule, pipe, state machine and rule, as in the template."""
    [entry] = machine_of(guarded, crm)["Definition"]["States"]["PutBatch"]["Arguments"]["Entries"]
    expression = Jsonata(entry["Detail"].removeprefix("{%").removesuffix("%}"))
    # What Step Functions adds to JSONata: docs.aws.amazon.com/step-functions, "Transforming data with JSONata".
    expression.register_lambda("parse", json.loads)
    expression.assign("states", {"input": take(guarded, crm, *signals)})
    batch = {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": expression.evaluate(None)}
    rule = found(guarded, "AWS::Events::Rule")[f"{crm}Deliver"]
    assert rule["EventPattern"] == {"source": [batch["source"]], "detail-type": [batch["detail-type"]]}
    assert rule["Targets"][0]["InputPath"] == "$.detail"
    body: dict[str, Any] = json.loads(json.dumps(batch["detail"]))
    Draft202012Validator(DOCUMENTED[crm]).validate(body)
    return body


# --- The requests.


def test_hubspot_gets_a_contact_by_its_address(guarded: Assembly) -> None:
    assert request_for(guarded, "HubSpot", told()) == {
        "inputs": [
            {
                "id": "ada@acme.example",
                "idProperty": "email",
                "objectWriteTraceId": CHANGE.id,
                "properties": {
                    "leadscore_id": "ada",
                    "leadscore_tier": "hot",
                    "leadscore_score": "53",
                    "leadscore_fit": "18",
                    "leadscore_engagement": "35",
                    "leadscore_reasons": 'Said "now", \\o/; Read {prices} <b>',
                    "leadscore_changed_at": "2026-01-31T12:00:00.000Z",
                },
            }
        ]
    }


def test_salesforce_gets_a_record_by_the_id_of_its_lead(guarded: Assembly) -> None:
    assert request_for(guarded, "Salesforce", told()) == {
        "allOrNone": False,
        "records": [
            {
                "attributes": {"type": "Lead_Score__c"},
                "Lead_Id__c": "ada",
                "Email__c": "ada@acme.example",
                "Tier__c": "hot",
                "Score__c": 53,
                "Fit__c": 18,
                "Engagement__c": 35,
                "Reasons__c": 'Said "now", \\o/; Read {prices} <b>',
                "Changed_At__c": "2026-01-31T12:00:00.000Z",
            }
        ],
    }


def records_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    [records] = [value for value in body.values() if isinstance(value, list)]
    return records


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize("id_", ['O"Brien', "back\\slash", "<$.detail.id>", "{% 1 %}", "zoë\n王", "'); $x"])
def test_no_text_breaks_a_request(guarded: Assembly, crm: str, id_: str) -> None:
    [record] = records_of(request_for(guarded, crm, told(id=id_, email=f"{id_}@acme.example")))

    assert id_ in (record.get("Lead_Id__c"), record.get("properties", {}).get("leadscore_id"))
    assert f"{id_}@acme.example" in (record.get("Email__c"), record.get("id"))


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize("at", ["2026-01-31T12:00:30.000Z", CHANGE.at])
def test_of_a_lead_that_comes_several_times_the_latest_is_written_once(guarded: Assembly, crm: str, at: str) -> None:
    """Neither CRM takes one record twice in a request, and a queue keeps no order."""
    later = replace(CHANGE, at=at, revision=CHANGE.revision + 1, tier="cold")
    bob = told(id="bob", email="bob@acme.example")
    records = records_of(request_for(guarded, crm, told(later), bob, told(), told()))
    tiers = [record.get("Tier__c") or record["properties"]["leadscore_tier"] for record in records]

    assert sorted(tiers) == ["cold", "hot"]


@pytest.mark.parametrize("email", ["ada@acme.example", "Ada@Acme.Example"])
def test_one_address_is_one_contact_however_it_is_written(guarded: Assembly, email: str) -> None:
    two = [told(), told(id="bob", email=email)]

    assert len(records_of(request_for(guarded, "HubSpot", *two))) == 1
    assert len(records_of(request_for(guarded, "Salesforce", *two))) == 2


@pytest.mark.parametrize("crm", CRMS)
def test_every_kind_of_news_makes_a_request(guarded: Assembly, crm: str) -> None:
    kinds: list[ChangeKind] = ["tier", "score", "conversion"]
    signals = [told(replace(CHANGE, kind=kind), id=kind, email=f"{kind}@acme.example") for kind in kinds]

    assert sorted(map(name_of, signals)) == sorted(TOLD)
    assert len(records_of(request_for(guarded, crm, *signals))) == 3


@pytest.mark.parametrize("crm", CRMS)
def test_a_lead_without_reasons_or_points_is_written_too(guarded: Assembly, crm: str) -> None:
    empty = replace(CHANGE, tier="disqualified", score=0.0, groups={"fit": 0.0, "engagement": 0.0}, reasons=[])
    [record] = records_of(request_for(guarded, crm, told(empty)))

    assert "disqualified" in (record.get("Tier__c"), record.get("properties", {}).get("leadscore_tier"))
    assert "" in (record.get("Reasons__c"), record.get("properties", {}).get("leadscore_reasons"))


@pytest.mark.parametrize("crm", CRMS)
def test_what_no_crm_can_use_is_left_out(guarded: Assembly, crm: str) -> None:
    nobody = [told(email=""), told(email="unknown"), signal_of(replace(CHANGE, cause="import"))]
    nurture = replace(QUIET, person=ADA)

    assert take(guarded, crm, *nobody, nurture) == []
    assert len(take(guarded, crm, told())) == 1


@pytest.mark.parametrize("crm", CRMS)
def test_the_largest_batch_fits_what_a_state_machine_takes(guarded: Assembly, crm: str) -> None:
    """256 KB, of the longest names in characters of which JSON in JSON makes the most, and of the longest labels."""
    long = "\x00" * LONGEST_TEXT
    person: Person = {"id": "x" * 256, "name": long, "title": long, "company": long, "email": f"{'x' * 240}@x.example"}
    reasons = [{"criterion": "x" * 64, "label": "é" * 200, "points": 1000.0}] * 3
    largest = signal_of(replace(CHANGE, person=person, reasons=reasons))  # type: ignore[arg-type]
    batch = json.dumps(take(guarded, crm, *[largest] * MOST_IN_A_BATCH), ensure_ascii=False)
    pipe = found(guarded, "AWS::Pipes::Pipe")[f"{crm}Pipe"]

    assert len(batch.encode()) < 256 * 1024
    assert pipe["SourceParameters"]["SqsQueueParameters"]["BatchSize"] == MOST_IN_A_BATCH


# --- The way there.


def test_addresses_and_methods_are_those_of_the_upserts(guarded: Assembly) -> None:
    destinations = found(guarded, "AWS::Events::ApiDestination").values()

    assert sorted((each["InvocationEndpoint"], each["HttpMethod"]) for each in destinations) == [
        ("https://acme.my.salesforce.com/services/data/v62.0/composite/sobjects/Lead_Score__c/Lead_Id__c", "PATCH"),
        ("https://api.hubapi.com/crm/objects/2026-03/contacts/batch/upsert", "POST"),
    ]
    assert {each["InvocationRateLimitPerSecond"] for each in destinations} == {5}


def test_secrets_are_named_and_never_told(guarded: Assembly) -> None:
    connections = found(guarded, "AWS::Events::Connection")
    api_key = connections["HubSpotConnection"]["AuthParameters"]["ApiKeyAuthParameters"]
    oauth = connections["SalesforceConnection"]["AuthParameters"]["OAuthParameters"]
    secret = "{{resolve:secretsmanager:leadscore/dev"

    assert api_key == {
        "ApiKeyName": "Authorization",
        "ApiKeyValue": f"Bearer {secret}/hubspot:SecretString:token}}}}",
    }
    assert oauth["ClientParameters"] == {
        "ClientID": f"{secret}/salesforce:SecretString:client_id}}}}",
        "ClientSecret": f"{secret}/salesforce:SecretString:client_secret}}}}",
    }
    assert oauth["AuthorizationEndpoint"] == "https://acme.my.salesforce.com/services/oauth2/token"
    [grant] = oauth["OAuthHttpParameters"]["BodyParameters"]
    assert (grant["Key"], grant["Value"]) == ("grant_type", "client_credentials")


@pytest.mark.parametrize("crm", CRMS)
def test_what_is_not_delivered_is_tried_for_a_day_kept_and_rings(guarded: Assembly, crm: str) -> None:
    [target] = found(guarded, "AWS::Events::Rule")[f"{crm}Deliver"]["Targets"]
    alarms = found(guarded, "AWS::CloudWatch::Alarm")
    queue = found(guarded, "AWS::SQS::Queue")[f"{crm}News" + "Queue"]

    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert guarded.show(target["DeadLetterConfig"]["Arn"]) == f"{crm}Refused.Arn"
    assert guarded.show(queue["RedrivePolicy"]["deadLetterTargetArn"]) == f"{crm}NewsDeadLetters.Arn"
    for name in (f"{crm}RefusedPresent", f"{crm}NewsDeadLettersPresent", f"{crm}NewsLate"):
        assert alarms[name]["AlarmActions"]


@pytest.mark.parametrize("crm", CRMS)
def test_a_batch_is_done_with_once_it_is_on_the_bus(guarded: Assembly, crm: str) -> None:
    pipe = found(guarded, "AWS::Pipes::Pipe")[f"{crm}Pipe"]
    machine = machine_of(guarded, crm)
    queue = found(guarded, "AWS::SQS::Queue")[f"{crm}NewsQueue"]
    window = pipe["SourceParameters"]["SqsQueueParameters"]["MaximumBatchingWindowInSeconds"]

    assert guarded.show(pipe["Source"]) == f"{crm}NewsQueue.Arn"
    assert guarded.show(pipe["Target"]) == f"{crm}Machine"
    assert pipe["TargetParameters"]["StepFunctionStateMachineParameters"]["InvocationType"] == "REQUEST_RESPONSE"
    assert machine["StateMachineType"] == "EXPRESS"
    assert queue["VisibilityTimeout"] > window + machine["Definition"]["TimeoutSeconds"]


@pytest.mark.parametrize("crm", CRMS)
def test_each_role_may_do_its_one_thing(guarded: Assembly, crm: str) -> None:
    policies = [each for name, each in found(guarded, "AWS::IAM::Policy").items() if name.startswith(crm)]
    rights = {
        (action if isinstance(action, str) else "+".join(action)): json.dumps(statement["Resource"])
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        for action in [statement["Action"]]
    }

    assert sorted(rights) == [
        "events:InvokeApiDestination",
        "events:PutEvents",
        "sqs:DeleteMessage+sqs:GetQueueAttributes+sqs:ReceiveMessage",
        "states:StartSyncExecution",
    ]
    assert not any("*" in resource for resource in rights.values())


def test_the_bus_does_not_take_a_batch_for_a_product_event(guarded: Assembly) -> None:
    [pattern] = [
        rule["EventPattern"]
        for name, rule in guarded.properties("AWS::Events::Rule").items()
        if name.startswith("BusToEvents")
    ]
    parsed = parse_pattern(pattern, "", [])
    assert parsed is not None
    sources = {
        machine_of(guarded, crm)["Definition"]["States"]["PutBatch"]["Arguments"]["Entries"][0]["Source"]
        for crm in CRMS
    }

    assert Matcher([parsed]).match_bits({"source": "stripe"})
    assert not any(Matcher([parsed]).match_bits({"source": source}) for source in sources)


# --- The context.


def test_unasked_there_is_no_such_stack(assembly: Assembly) -> None:
    assert not assembly.file("crm").exists()


def test_the_local_stage_leaves_it_out() -> None:
    asked = Assembly(assemblies() / "guarded-local", "local")

    assert asked.file("stateless").exists()
    assert not asked.file("crm").exists()


@pytest.mark.parametrize(
    ("names", "found"), [("hubspot", ["HubSpot"]), (" salesforce,hubspot,", CRMS), ("", []), (None, [])]
)
def test_the_context_names_them(names: object, found: list[str]) -> None:
    crms = parse_crms(names, "acme--test.sandbox.my.salesforce.com", stage_named("dev"))

    assert [crm.name for crm in crms] == found


@pytest.mark.parametrize(
    "domain", [None, "", "acme", "acme.my.salesforce.com.rival.example", "acme.my.salesforce.com/x"]
)
def test_salesforce_needs_a_domain_of_its_own(domain: object) -> None:
    with pytest.raises(CrmError, match="salesforce_domain"):
        parse_crms("salesforce", domain, stage_named("dev"))


def test_another_crm_is_an_error_with_the_choices() -> None:
    with pytest.raises(CrmError, match="'pipedrive'; there are hubspot and salesforce"):
        parse_crms("hubspot,pipedrive", None, stage_named("dev"))
