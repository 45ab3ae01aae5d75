"""The optional stack that keeps CRMs up to date with scores and tiers; the emulator knows none of what it is made of.

    bus --rule--> queue --pipe, 25 at most--> state machine --one event a batch--> bus --rule--> API destination
                  (DLQ)                       newest of each lead                         (DLQ)  at most 5 a second

An API destination sends one request for each event, and a pipe may batch to a state machine but not to an API
destination (docs.aws.amazon.com/eventbridge, "Amazon EventBridge Pipes batching and concurrency"). So the batches are
made in between, where bodies are made too: EventBridge's own input transformers do not escape the values that they put
into a template (the same guide, "Common issues with transforming input"), and people are called O"Brien.

Invariants: a secret is only ever named in the template; a request is an upsert, so that repeats are harmless; what
cannot be delivered waits in a dead-letter queue that rings an alarm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Aws, Duration, SecretValue, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_pipes as pipes
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alarms import alarm_above
from infra.lifetimes import removal_policy
from infra.queues import WorkQueue
from infra.stages import Stage
from infra.stateful import OWN_SOURCE_PREFIX

# What tells how a lead stands and is news; what an import has changed is none.
TOLD = ("LeadTierChanged", "LeadScoreChanged", "LeadConverted")
BATCH_SOURCE = f"{OWN_SOURCE_PREFIX}.crm"
# So few that the largest profiles still fit the 256 KB that a state machine takes, and that a CRM with automation of
# its own answers within the 5 seconds that an API destination waits.
MOST_IN_A_BATCH = 25
_BATCH_SECONDS = 60
_MACHINE_SECONDS = 30
# HubSpot allows 100 requests in 10 seconds at the least, and Salesforce counts them by the day.
REQUESTS_PER_SECOND = 5
HUBSPOT_VERSION, SALESFORCE_VERSION = "2026-03", "v62.0"
SALESFORCE_OBJECT, SALESFORCE_ID = "Lead_Score__c", "Lead_Id__c"
# My Domain of a company or of one of its sandboxes, as Salesforce shows it in its setup.
_SALESFORCE_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.my\.salesforce\.com")


class CrmError(ValueError):
    """The context names no CRM that there is, or does not say where it is."""


@dataclass(frozen=True, slots=True)
class Crm:
    """One CRM: where it is, and how a request to it is made, in JSONata.

    `key` is what a record is found by and `record` what is written, both of `$lead`, the detail of an event;
    `request` is the body around `$records`.
    """

    name: str
    endpoint: str
    method: events.HttpMethod
    authorization: events.Authorization
    key: str
    record: str
    request: str


def parse_crms(names: object, salesforce_domain: object, stage: Stage) -> list[Crm]:
    """Return the CRMs that the context names, commas between, in one order; raises CrmError with a text for people."""
    crms: list[Crm] = []
    for name in sorted({name.strip() for name in str(names or "").split(",") if name.strip()}):
        match name:
            case "hubspot":
                crms.append(hubspot(stage))
            case "salesforce":
                crms.append(salesforce(stage, _parse_domain(salesforce_domain)))
            case _:
                raise CrmError(f"the context crm={names!r} names {name!r}; there are hubspot and salesforce")
    return crms


def _parse_domain(value: object) -> str:
    if isinstance(value, str) and _SALESFORCE_DOMAIN.fullmatch(value):
        return value
    raise CrmError(f"crm=salesforce needs salesforce_domain=company.my.salesforce.com, and it is {value!r}")


def hubspot(stage: Stage) -> Crm:
    """Contacts by e-mail address: POST /crm/objects/VERSION/contacts/batch/upsert, of HubSpot's API reference.

    The trace id makes HubSpot take the other contacts of a batch of which it refuses one.
    """
    return Crm(
        name="HubSpot",
        endpoint=f"https://api.hubapi.com/crm/objects/{HUBSPOT_VERSION}/contacts/batch/upsert",
        method=events.HttpMethod.POST,
        authorization=events.Authorization.api_key(
            "Authorization", SecretValue.unsafe_plain_text(f"Bearer {_secret(stage, 'hubspot', 'token')}")
        ),
        key="$lowercase($lead.person.email)",
        record="""{
            'id': $lead.person.email,
            'idProperty': 'email',
            'objectWriteTraceId': $lead.id,
            'properties': {
                'leadscore_id': $lead.person.id,
                'leadscore_tier': $lead.tier,
                'leadscore_score': $string($round($lead.score, 1)),
                'leadscore_fit': $string($round($lead.groups.fit, 1)),
                'leadscore_engagement': $string($round($lead.groups.engagement, 1)),
                'leadscore_reasons': $join([$lead.reasons.label], '; '),
                'leadscore_changed_at': $lead.at
            }
        }""",
        request="{'inputs': [$records]}",
    )


def salesforce(stage: Stage, domain: str) -> Crm:
    """Records of an object of our own by lead id: PATCH /composite/sobjects/OBJECT/FIELD, of the REST API guide.

    An object of its own, so that nothing is overwritten that people keep, and no contact is made of every sign-up.
    """
    return Crm(
        name="Salesforce",
        endpoint=(
            f"https://{domain}/services/data/{SALESFORCE_VERSION}/composite/sobjects/"
            f"{SALESFORCE_OBJECT}/{SALESFORCE_ID}"
        ),
        method=events.HttpMethod.PATCH,
        authorization=events.Authorization.oauth(
            authorization_endpoint=f"https://{domain}/services/oauth2/token",
            client_id=_secret(stage, "salesforce", "client_id"),
            client_secret=SecretValue.unsafe_plain_text(_secret(stage, "salesforce", "client_secret")),
            http_method=events.HttpMethod.POST,
            body_parameters={"grant_type": events.HttpParameter.from_string("client_credentials")},
        ),
        key="$lead.person.id",
        # A text area of Salesforce holds 255 characters.
        record=f"""{{
            'attributes': {{'type': '{SALESFORCE_OBJECT}'}},
            '{SALESFORCE_ID}': $lead.person.id,
            'Email__c': $lead.person.email,
            'Tier__c': $lead.tier,
            'Score__c': $round($lead.score, 1),
            'Fit__c': $round($lead.groups.fit, 1),
            'Engagement__c': $round($lead.groups.engagement, 1),
            'Reasons__c': $substring($join([$lead.reasons.label], '; '), 0, 255),
            'Changed_At__c': $lead.at
        }}""",
        request="{'allOrNone': false, 'records': [$records]}",
    )


class CrmStack(Stack):
    """What brings the news of the bus to each of the CRMs."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        bus: events.IEventBus,
        crms: Sequence[Crm],
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(scope, f"leadscore-{stage.name}-crm", description="Leadscore: scores and tiers for CRMs")
        for crm in crms:
            CrmFeed(self, crm.name, stage=stage, bus=bus, crm=crm, alarm_action=alarm_action)


class CrmFeed(Construct):
    """The way to one CRM."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        bus: events.IEventBus,
        crm: Crm,
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage, self._bus, self._crm, self._alarm_action = stage, bus, crm, alarm_action
        self._news = WorkQueue(
            self,
            "News",
            stage=stage,
            # A message is out of sight while its batch fills up, too.
            consumer_timeout=_BATCH_SECONDS + _MACHINE_SECONDS,
            holds=f"changes for {crm.name}",
            alarm_action=alarm_action,
        )
        self._take_news()
        self._pipe(self._machine())
        self._deliver()

    def _take_news(self) -> None:
        events.Rule(
            self,
            "Take",
            description=f"What {self._crm.name} is to know, of leads that have an e-mail address",
            event_bus=self._bus,
            event_pattern=events.EventPattern(
                source=[OWN_SOURCE_PREFIX],
                detail_type=list(TOLD),
                detail={"person": {"email": events.Match.wildcard("*@*")}},
            ),
            targets=[
                targets.SqsQueue(
                    self._news.queue,
                    message=events.RuleTargetInput.from_event_path("$.detail"),
                    dead_letter_queue=self._news.dead_letters,
                )
            ],
        )

    def _machine(self) -> sfn.StateMachine:
        role = iam.Role(self, "MachineRole", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        role.add_to_policy(iam.PolicyStatement(actions=["events:PutEvents"], resources=[self._bus.event_bus_arn]))
        machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_type=sfn.StateMachineType.EXPRESS,
            definition_body=sfn.DefinitionBody.from_string(json.dumps(self._definition())),
            role=role,
        )
        acknowledge(
            machine,
            "SF1",
            "Its log would hold personal data. A batch that fails goes back to the queue, whose dead-letter queue "
            "keeps it and rings an alarm.",
        )
        acknowledge(
            machine,
            "SF2",
            "One task has no path to trace; sending traces would need rights that have no resource-level form.",
        )
        return machine

    def _definition(self) -> dict[str, object]:
        entry = {
            "EventBusName": self._bus.event_bus_name,
            "Source": BATCH_SOURCE,
            "DetailType": self._crm.name,
            "Detail": f"{{% {batch_expression(self._crm)} %}}",
        }
        put = {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::events:putEvents",
            "Arguments": {"Entries": [entry]},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 3}],
            "End": True,
        }
        return {
            "Comment": f"Makes one request to {self._crm.name} of many changes",
            "QueryLanguage": "JSONata",
            "TimeoutSeconds": _MACHINE_SECONDS,
            "StartAt": "PutBatch",
            "States": {"PutBatch": put},
        }

    def _pipe(self, machine: sfn.StateMachine) -> None:
        queue = self._news.queue
        role = iam.Role(
            self,
            "PipeRole",
            assumed_by=iam.ServicePrincipal(
                "pipes.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        taken = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        policy = iam.Policy(
            self,
            "PipePolicy",
            roles=[role],
            statements=[
                iam.PolicyStatement(actions=taken, resources=[queue.queue_arn]),
                iam.PolicyStatement(actions=["states:StartSyncExecution"], resources=[machine.state_machine_arn]),
            ],
        )
        pipe = pipes.CfnPipe(
            self,
            "Pipe",
            description=f"Changes for {self._crm.name}, so many at a time as one request takes",
            role_arn=role.role_arn,
            source=queue.queue_arn,
            source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
                sqs_queue_parameters=pipes.CfnPipe.PipeSourceSqsQueueParametersProperty(
                    batch_size=MOST_IN_A_BATCH, maximum_batching_window_in_seconds=_BATCH_SECONDS
                )
            ),
            target=machine.state_machine_arn,
            target_parameters=pipes.CfnPipe.PipeTargetParametersProperty(
                step_function_state_machine_parameters=pipes.CfnPipe.PipeTargetStateMachineParametersProperty(
                    # The messages of a batch are done with once it is on the bus, and not before.
                    invocation_type="REQUEST_RESPONSE"
                )
            ),
        )
        pipe.node.add_dependency(policy)

    def _deliver(self) -> None:
        crm, refused = self._crm, self._refused()
        destination = events.ApiDestination(
            self,
            "Destination",
            description=f"Scores and tiers for {crm.name}",
            connection=events.Connection(
                self, "Connection", authorization=crm.authorization, description=f"How to get into {crm.name}"
            ),
            endpoint=crm.endpoint,
            http_method=crm.method,
            rate_limit_per_second=REQUESTS_PER_SECOND,
        )
        events.Rule(
            self,
            "Deliver",
            description=f"Each batch for {crm.name} is one request",
            event_bus=self._bus,
            event_pattern=events.EventPattern(source=[BATCH_SOURCE], detail_type=[crm.name]),
            targets=[
                targets.ApiDestination(
                    destination,
                    event=events.RuleTargetInput.from_event_path("$.detail"),
                    dead_letter_queue=refused,
                    retry_attempts=185,
                    max_event_age=Duration.hours(24),
                )
            ],
        )

    def _refused(self) -> sqs.Queue:
        """A queue of its own: what lies in it are requests, and in the other dead-letter queue changes."""
        queue = sqs.Queue(
            self,
            "Refused",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=removal_policy(self._stage),
        )
        acknowledge(queue, "SQS3", "It is itself the dead-letter queue of the rule `Deliver`.")
        alarm_above(
            self,
            "RefusedPresent",
            metric=queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1), statistic="Maximum"),
            threshold=0,
            meaning=f"{self._crm.name} has refused a request, or was out of reach for a day",
            action=self._alarm_action,
        )
        return queue


def batch_expression(crm: Crm) -> str:
    """Return the JSONata that makes one body of a pipe's messages: of each record what was decided last."""
    return f"""(
        $told := $map($states.input, function($message) {{ $parse($message.body) }});
        $key := function($lead) {{ {crm.key} }};
        $sorted := $sort($told, function($one, $other) {{
            $one.at > $other.at or ($one.at = $other.at and $one.revision > $other.revision)
        }});
        $records := $map($distinct($map($sorted, $key)), function($found) {{(
            $lead := $filter($sorted, function($one) {{ $key($one) = $found }})[-1];
            {crm.record}
        )}});
        {crm.request}
    )"""


def _secret(stage: Stage, name: str, field: str) -> str:
    """Return the reference that CloudFormation resolves when it makes the connection."""
    return f"{{{{resolve:secretsmanager:leadscore/{stage.name}/{name}:SecretString:{field}}}}}"
