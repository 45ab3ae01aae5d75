"""The way in for SDKs and for verdicts, the way out for readers and for those to be forgotten: one REST API, `v1`.

The stage's name makes the SDKs' own `/v1/...` right on the API's root host; a second stage is there for the one path
that SDKs have beside it, `/beacon/v1/batch`. What machines read by IAM, people who are signed in read under `/people`:
a method has one authorizer. Invariants: what no route is for goes to `ingest`, which can read nothing and refuses it,
and never to a function that could answer another spelling of a guarded path; every error body that the gateway makes
itself is JSON with `code` and `message`, since SDKs without a `code` retry for minutes, and bears the headers of
ingest's own answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alarms import alarm_above
from infra.lifetimes import log_group
from infra.stages import Stage
from leadscore.security_headers import SECURITY_HEADERS

API_STAGE, BEACON_STAGE = "v1", "beacon"
SENDING_PATHS = (
    *("batch", "b", "import"),
    *("track", "identify", "page", "screen", "group", "alias"),
    *("t", "i", "p", "s", "g", "a"),
    # Figures that Segment's SDK has about itself.
    "m",
    # RudderStack's beacon, on the stage of that name.
    "v1/batch",
)
# What browser SDKs load before they send. RudderStack's asks by HEAD whether an ad blocker lets it through.
SETTINGS_PATHS = ("projects/{key}/settings", "sourceConfig")
_SENDING, _LOADING = ("POST",), ("GET", "HEAD")
# What is read about leads, and what tells nothing of any.
READING_PATHS = (
    *("leads", "leads/{id}", "leads/{id}/export", "accounts", "accounts/{id}", "tiers", "ruleset", "insights"),
)
OPEN_PATHS = ("health", "openapi.json")
ERASING_PATH = "leads/{id}"
# What people say of an alert: by its link, or signed.
FEEDBACK_PATH = "alerts/{id}/verdict"
# What changes the ruleset, and what tells of its changes.
PUBLISHING_ROUTES = (("PUT", "ruleset"), ("GET", "ruleset/history"), ("POST", "ruleset/rollback"))
# What tells what a ruleset would change.
DIFF_PATH = "ruleset/diff"
PEOPLE_PATH = "people"
_ALLOWED_HEADERS = (
    "authorization,content-type,anonymousid,sentat,x-retry-count,x-write-key,rsa-recovered,rsa-retry-attempt,"
    "rsa-retry-reason,rsa-since-first-attempt,rsa-since-last-attempt"
)
# What a usage plan allows all readers together; requests are signed besides.
_READER_REQUESTS_PER_SECOND, _READER_BURST, _READER_REQUESTS_A_DAY = 20, 40, 100_000
_PREFLIGHT_SECONDS = 7200
# What the gateway itself knows about the error, already quoted as JSON.
_GATEWAY_MESSAGE = "$context.error.messageString"


@dataclass(frozen=True, slots=True)
class GatewayError:
    """A body for one kind of error that the gateway answers without asking a function; None: the gateway's message.

    `status` is set where the gateway's own says something else.
    """

    kind: apigateway.ResponseType
    code: str
    message: str | None = None
    status: int | None = None

    def template(self) -> str:
        """The body as a mapping template."""
        message = _GATEWAY_MESSAGE if self.message is None else json.dumps(self.message)
        return f'{{"code":{json.dumps(self.code)},"message":{message}}}'


_KINDS = apigateway.ResponseType
GATEWAY_ERRORS = (
    GatewayError(_KINDS.DEFAULT_4_XX, "bad_request"),
    GatewayError(_KINDS.DEFAULT_5_XX, "internal_error", "The request failed; the fault is on this side."),
    GatewayError(_KINDS.ACCESS_DENIED, "access_denied"),
    GatewayError(_KINDS.API_CONFIGURATION_ERROR, "internal_error", "The API is not set up correctly."),
    GatewayError(_KINDS.BAD_REQUEST_BODY, "bad_request"),
    GatewayError(_KINDS.BAD_REQUEST_PARAMETERS, "bad_request"),
    GatewayError(_KINDS.EXPIRED_TOKEN, "expired_token"),
    GatewayError(_KINDS.INTEGRATION_FAILURE, "unavailable", "The request could not be processed; try again."),
    GatewayError(_KINDS.INTEGRATION_TIMEOUT, "timeout", "The request took too long; try again."),
    GatewayError(_KINDS.INVALID_API_KEY, "invalid_api_key", "Reading takes an API key here, in the header x-api-key."),
    GatewayError(_KINDS.INVALID_SIGNATURE, "invalid_signature"),
    GatewayError(
        _KINDS.MISSING_AUTHENTICATION_TOKEN,
        "missing_authentication",
        "This takes requests that are signed with AWS credentials.",
        # It says 403 because it means unknown paths too, of which there are none here.
        status=401,
    ),
    GatewayError(_KINDS.QUOTA_EXCEEDED, "quota_exceeded", "The quota is used up; try again later."),
    GatewayError(_KINDS.REQUEST_TOO_LARGE, "payload_too_large", "The request is over 10 MB."),
    GatewayError(_KINDS.RESOURCE_NOT_FOUND, "not_found", "There is no such path."),
    GatewayError(_KINDS.THROTTLED, "throttled", "Too many requests; try again in a moment."),
    GatewayError(_KINDS.UNAUTHORIZED, "unauthorized", "This takes the token of somebody who is signed in."),
    GatewayError(
        _KINDS.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not what its headers say it is."
    ),
    GatewayError(_KINDS.WAF_FILTERED, "access_denied", "The firewall in front of the API refused the request."),
)


class PublicApi(Construct):
    """The REST API with its routes, logs, limits and error bodies."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        ingest: lambda_.IFunction,
        reader: lambda_.IFunction,
        eraser: lambda_.IFunction,
        feedback: lambda_.IFunction,
        publisher: lambda_.IFunction,
        differ: lambda_.IFunction,
        alarm_action: cloudwatch.IAlarmAction,
        people: cognito.IUserPool | None = None,
        metered: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        limits_and_log = _limits_and_log(stage, log_group(self, "AccessLog", stage))
        self.rest_api = self._rest_api(limits_and_log)
        self._keep_execution_log("ExecutionLog", self.rest_api.deployment_stage, API_STAGE, stage)
        self._add_ingest_routes(ingest)
        self._add_reading_routes(reader, eraser, metered=metered)
        self._add_feedback_routes(feedback, metered=metered)
        self._add_publishing_routes(publisher, differ, metered=metered)
        if people is not None:
            self._add_routes_for_people(reader, people, metered=metered)
        for error in GATEWAY_ERRORS:
            self._add_gateway_error(error)
        beacon = self._beacon_stage(stage, limits_and_log)
        self.stage_arns = (self.rest_api.deployment_stage.stage_arn, beacon.stage_arn)
        self.readers_key = self._meter_readers() if metered else None
        alarm_above(
            self,
            "ServerErrors",
            metric=self.rest_api.metric_server_error(period=Duration.minutes(5), statistic="Sum"),
            threshold=0,
            meaning="the API answered 5xx: SDKs retry for a while and then drop events",
            action=alarm_action,
        )

    def _rest_api(self, limits_and_log: _LimitsAndLog) -> apigateway.RestApi:
        api = apigateway.RestApi(
            self,
            "RestApi",
            description="Leadscore: product events in, ranked leads out",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # Bodies reach the function as base64 of the bytes that were sent: read as text, gzip would be destroyed.
            binary_media_types=["*/*"],
            cloud_watch_role=True,
            deploy_options=apigateway.StageOptions(stage_name=API_STAGE, **limits_and_log),
        )
        # The construct's own output, under a name that nobody looks for.
        api.node.try_remove_child("Endpoint")
        acknowledge(
            api,
            "APIG2",
            "Bodies are text/plain, form-urlencoded or gzip by the SDKs' habit, which a request validator "
            "cannot read; the ingest function parses and bounds every body, the api function every parameter.",
        )
        _acknowledge_open_stage(api.deployment_stage)
        acknowledge(
            api.node.find_child("CloudWatchRole"),
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
            "The role is the account's one role for the logs of all its REST APIs; AWS documents this policy "
            "for it, and a narrower one would silence the other APIs.",
        )
        return api

    def _keep_execution_log(self, construct_id: str, deployed: apigateway.Stage, name: str, stage: Stage) -> None:
        """Make the log group that API Gateway would otherwise make itself, to be kept for ever."""
        required = f"API-Gateway-Execution-Logs_{self.rest_api.rest_api_id}/{name}"
        deployed.node.add_dependency(log_group(self, construct_id, stage, required_name=required))

    def _add_ingest_routes(self, ingest: lambda_.IFunction) -> None:
        integration = apigateway.LambdaIntegration(ingest, scope_permission_to_method=False)
        for paths, verbs in ((SENDING_PATHS, _SENDING), (SETTINGS_PATHS, _LOADING)):
            for path in paths:
                resource = self.rest_api.root.resource_for_path(path)
                for verb in verbs:
                    _add_open_method(resource, verb, integration, _WHY_SENDING_IS_OPEN)
                _add_preflight(resource, verbs)
        root = self.rest_api.root
        for anywhere in (root, root.add_resource("{proxy+}")):
            _add_open_method(anywhere, "ANY", integration, _WHY_THE_REST_IS_OPEN)

    def _beacon_stage(self, stage: Stage, limits_and_log: _LimitsAndLog) -> apigateway.Stage:
        beacon = apigateway.Stage(
            self,
            "BeaconStage",
            deployment=cast(apigateway.Deployment, self.rest_api.latest_deployment),
            stage_name=BEACON_STAGE,
            **limits_and_log,
        )
        _acknowledge_open_stage(beacon)
        self._keep_execution_log("BeaconExecutionLog", beacon, BEACON_STAGE, stage)
        return beacon

    def _meter_readers(self) -> apigateway.IApiKey:
        """Bound what all readers together may ask for; returns the key that they send beside their signature."""
        plan = self.rest_api.add_usage_plan(
            "Readers",
            description="Leadscore: requests for leads",
            throttle=apigateway.ThrottleSettings(rate_limit=_READER_REQUESTS_PER_SECOND, burst_limit=_READER_BURST),
            quota=apigateway.QuotaSettings(limit=_READER_REQUESTS_A_DAY, period=apigateway.Period.DAY),
            api_stages=[
                apigateway.UsagePlanPerApiStage(api=self.rest_api, stage=self.rest_api.deployment_stage),
            ],
        )
        key = self.rest_api.add_api_key("ReadersKey", description="Leadscore: for those who read leads")
        plan.add_api_key(key)
        return key

    def _add_reading_routes(self, reader: lambda_.IFunction, eraser: lambda_.IFunction, *, metered: bool) -> None:
        reading = apigateway.LambdaIntegration(reader, scope_permission_to_method=False)
        for path in READING_PATHS:
            _add_signed_method(self.rest_api.root.resource_for_path(path), "GET", reading, metered=metered)
        for path in OPEN_PATHS:
            _add_open_method(self.rest_api.root.resource_for_path(path), "GET", reading, _WHY_THIS_IS_OPEN)
        erasing = apigateway.LambdaIntegration(eraser, scope_permission_to_method=False)
        _add_signed_method(self.rest_api.root.resource_for_path(ERASING_PATH), "DELETE", erasing, metered=metered)

    def _add_feedback_routes(self, feedback: lambda_.IFunction, *, metered: bool) -> None:
        integration = apigateway.LambdaIntegration(feedback, scope_permission_to_method=False)
        resource = self.rest_api.root.resource_for_path(FEEDBACK_PATH)
        _add_signed_method(resource, "PUT", integration, metered=metered)
        for verb in ("GET", "POST"):
            _add_open_method(resource, verb, integration, _WHY_LINKS_ARE_OPEN)

    def _add_publishing_routes(self, publisher: lambda_.IFunction, differ: lambda_.IFunction, *, metered: bool) -> None:
        integration = apigateway.LambdaIntegration(publisher, scope_permission_to_method=False)
        for verb, path in PUBLISHING_ROUTES:
            _add_signed_method(self.rest_api.root.resource_for_path(path), verb, integration, metered=metered)
        comparing = apigateway.LambdaIntegration(differ, scope_permission_to_method=False)
        _add_signed_method(self.rest_api.root.resource_for_path(DIFF_PATH), "POST", comparing, metered=metered)

    def _add_routes_for_people(self, reader: lambda_.IFunction, people: cognito.IUserPool, *, metered: bool) -> None:
        authorizer = apigateway.CognitoUserPoolsAuthorizer(self, "SignedIn", cognito_user_pools=[people])
        reading = apigateway.LambdaIntegration(reader, scope_permission_to_method=False)
        for path in READING_PATHS:
            self.rest_api.root.resource_for_path(f"{PEOPLE_PATH}/{path}").add_method(
                "GET",
                reading,
                authorization_type=apigateway.AuthorizationType.COGNITO,
                authorizer=authorizer,
                api_key_required=metered or None,
            )

    def _add_gateway_error(self, error: GatewayError) -> None:
        headers = {
            **SECURITY_HEADERS,
            "Cache-Control": "no-store",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Retry-After",
        }
        if error.code == "throttled":
            headers["Retry-After"] = "1"
        if error.code == "missing_authentication":
            headers["WWW-Authenticate"] = "AWS4-HMAC-SHA256"
        self.rest_api.add_gateway_response(
            error.kind.response_type,
            type=error.kind,
            status_code=None if error.status is None else str(error.status),
            templates={"application/json": error.template()},
            response_headers={name: f"'{value}'" for name, value in headers.items()},
        )


class _LimitsAndLog(TypedDict):
    """What the API's stages have in common."""

    throttling_rate_limit: int
    throttling_burst_limit: int
    logging_level: apigateway.MethodLoggingLevel
    access_log_destination: apigateway.IAccessLogDestination
    access_log_format: apigateway.AccessLogFormat


def _limits_and_log(stage: Stage, access_log: logs.LogGroup) -> _LimitsAndLog:
    return {
        "throttling_rate_limit": stage.api_requests_per_second,
        "throttling_burst_limit": stage.api_burst,
        "logging_level": apigateway.MethodLoggingLevel.ERROR,
        "access_log_destination": apigateway.LogGroupLogDestination(access_log),
        "access_log_format": _access_log_format(),
    }


def _acknowledge_open_stage(deployed: apigateway.Stage) -> None:
    acknowledge(
        deployed,
        "APIG3",
        "A web ACL is priced by the month: `-c waf=true` adds one, in the stack `firewall`; the stage throttles.",
    )


_WHY_SENDING_IS_OPEN = (
    "SDKs authenticate by a write key that may be in the body, where no authorizer looks; the ingest "
    "function compares its hash and answers 401. What SDKs load before they send is the same for everybody."
)
_WHY_THE_REST_IS_OPEN = "There is nothing here: the ingest function answers 404 or 405 to everybody."
_WHY_LINKS_ARE_OPEN = (
    "People open it from an e-mail or from Slack: the link carries the alert's own random token, which the feedback "
    "function compares, answering 404 without it."
)
_WHY_THIS_IS_OPEN = "It tells nothing of any lead: whether the service works, and what its API is."


def _add_open_method(
    resource: apigateway.IResource, verb: str, function: apigateway.LambdaIntegration, reason: str
) -> None:
    method = resource.add_method(verb, function, authorization_type=apigateway.AuthorizationType.NONE)
    for rule in ("APIG4", "COG4"):
        acknowledge(method, rule, reason)


def _add_signed_method(
    resource: apigateway.Resource, verb: str, function: apigateway.LambdaIntegration, *, metered: bool
) -> None:
    method = resource.add_method(
        verb, function, authorization_type=apigateway.AuthorizationType.IAM, api_key_required=metered or None
    )
    acknowledge(
        method,
        "COG4",
        "Callers are people and services with AWS credentials: the method is authorised by IAM.",
    )


def _add_preflight(resource: apigateway.Resource, verbs: Sequence[str]) -> None:
    """Answer a browser's OPTIONS from the gateway alone."""
    headers = {
        **SECURITY_HEADERS,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": ",".join((*verbs, "OPTIONS")),
        "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }
    resource.add_method(
        "OPTIONS",
        apigateway.MockIntegration(
            # All media types are binary here, and a binary request cannot pick the template by itself.
            content_handling=apigateway.ContentHandling.CONVERT_TO_TEXT,
            request_templates={"application/json": '{"statusCode":204}'},
            integration_responses=[
                apigateway.IntegrationResponse(
                    status_code="204",
                    # An answer without a body, not the mock's own `{}`.
                    response_templates={"application/json": ""},
                    response_parameters={
                        f"method.response.header.{name}": f"'{value}'" for name, value in headers.items()
                    },
                )
            ],
        ),
        authorization_type=apigateway.AuthorizationType.NONE,
        method_responses=[
            apigateway.MethodResponse(
                status_code="204",
                response_parameters={f"method.response.header.{name}": True for name in headers},
            )
        ],
    )


def _access_log_format() -> apigateway.AccessLogFormat:
    """One JSON line a request, without the caller's address and without the query, which may hold a write key."""
    field = apigateway.AccessLogField
    return apigateway.AccessLogFormat.custom(
        json.dumps(
            {
                "requestId": field.context_request_id(),
                "requestTime": field.context_request_time(),
                "httpMethod": field.context_http_method(),
                "resourcePath": field.context_resource_path(),
                "status": field.context_status(),
                "responseLength": field.context_response_length(),
                "responseLatency": field.context_response_latency(),
                "integrationStatus": field.context_integration_status(),
                "error": field.context_error_response_type(),
            }
        )
    )
