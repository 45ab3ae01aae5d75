"""The way in for SDKs and the way out for readers: one REST API whose stage is `v1`.

The stage's name makes the SDKs' own `/v1/...` right on the API's root host. Invariant: every error body that the
gateway makes itself is JSON with `code` and `message`, since SDKs without a `code` retry for minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledging import acknowledge
from infra.alarms import alarm_above
from infra.lifetimes import log_group
from infra.stages import Stage

API_STAGE = "v1"
INGEST_PATHS = (
    *("batch", "b", "import"),
    *("track", "identify", "page", "screen", "group", "alias"),
    *("t", "i", "p", "s", "g", "a"),
)
_ALLOWED_HEADERS = (
    "authorization,content-type,anonymousid,sentat,x-retry-count,x-write-key,rsa-retry-attempt,rsa-retry-reason,"
    "rsa-since-first-attempt,rsa-since-last-attempt"
)
_PREFLIGHT_SECONDS = 7200
# What the gateway itself knows about the error, already quoted as JSON.
_GATEWAY_MESSAGE = "$context.error.messageString"


@dataclass(frozen=True, slots=True)
class GatewayError:
    """A body for one kind of error that the gateway answers without asking a function; None: the gateway's message."""

    kind: apigateway.ResponseType
    code: str
    message: str | None = None

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
    GatewayError(_KINDS.INVALID_SIGNATURE, "invalid_signature"),
    GatewayError(
        _KINDS.MISSING_AUTHENTICATION_TOKEN,
        "missing_authentication",
        "There is no such path, or it takes requests signed with AWS credentials only.",
    ),
    GatewayError(_KINDS.QUOTA_EXCEEDED, "quota_exceeded", "The quota is used up; try again later."),
    GatewayError(_KINDS.REQUEST_TOO_LARGE, "payload_too_large", "The request is over 10 MB."),
    GatewayError(_KINDS.RESOURCE_NOT_FOUND, "not_found", "There is no such path."),
    GatewayError(_KINDS.THROTTLED, "throttled", "Too many requests; try again in a moment."),
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
        alarm_action: cloudwatch.IAlarmAction,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rest_api = self._rest_api(stage)
        self._keep_execution_log(stage)
        self._add_ingest_routes(ingest)
        self._add_reading_routes(reader)
        for error in GATEWAY_ERRORS:
            self._add_gateway_error(error)
        alarm_above(
            self,
            "ServerErrors",
            metric=self.rest_api.metric_server_error(period=Duration.minutes(5), statistic="Sum"),
            threshold=0,
            meaning="the API answered 5xx: SDKs retry for a while and then drop events",
            action=alarm_action,
        )

    def _rest_api(self, stage: Stage) -> apigateway.RestApi:
        api = apigateway.RestApi(
            self,
            "RestApi",
            description="Leadscore: product events in, ranked leads out",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # Bodies reach the function as base64 of the bytes that were sent: read as text, gzip would be destroyed.
            binary_media_types=["*/*"],
            cloud_watch_role=True,
            deploy_options=apigateway.StageOptions(
                stage_name=API_STAGE,
                throttling_rate_limit=stage.api_requests_per_second,
                throttling_burst_limit=stage.api_burst,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                access_log_destination=apigateway.LogGroupLogDestination(log_group(self, "AccessLog", stage)),
                access_log_format=_access_log_format(),
            ),
        )
        # The construct's own output, under a name that nobody looks for.
        api.node.try_remove_child("Endpoint")
        acknowledge(
            api,
            "APIG2",
            "Bodies are text/plain, form-urlencoded or gzip by the SDKs' habit, which a request validator "
            "cannot read; the ingest function parses and bounds every body, the api function every parameter.",
        )
        acknowledge(
            api.deployment_stage,
            "APIG3",
            "A web ACL is priced by the month and belongs to the account's owner; the stage throttles.",
        )
        acknowledge(
            api.node.find_child("CloudWatchRole"),
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
            "The role is the account's one role for the logs of all its REST APIs; AWS documents this policy "
            "for it, and a narrower one would silence the other APIs.",
        )
        return api

    def _keep_execution_log(self, stage: Stage) -> None:
        """Make the log group that API Gateway would otherwise make itself, to be kept for ever."""
        api_id = self.rest_api.rest_api_id
        group = log_group(self, "ExecutionLog", stage, required_name=f"API-Gateway-Execution-Logs_{api_id}/{API_STAGE}")
        self.rest_api.deployment_stage.node.add_dependency(group)

    def _add_ingest_routes(self, ingest: lambda_.IFunction) -> None:
        integration = apigateway.LambdaIntegration(ingest, scope_permission_to_method=False)
        for path in INGEST_PATHS:
            resource = self.rest_api.root.add_resource(path)
            method = resource.add_method("POST", integration, authorization_type=apigateway.AuthorizationType.NONE)
            for rule in ("APIG4", "COG4"):
                acknowledge(
                    method,
                    rule,
                    "SDKs authenticate by a write key that may be in the body, where no authorizer looks; the "
                    "ingest function compares its hash and answers 401.",
                )
            _add_preflight(resource)

    def _add_reading_routes(self, reader: lambda_.IFunction) -> None:
        integration = apigateway.LambdaIntegration(reader, scope_permission_to_method=False)
        leads = self.rest_api.root.add_resource("leads")
        for resource in (leads, leads.add_resource("{id}")):
            method = resource.add_method("GET", integration, authorization_type=apigateway.AuthorizationType.IAM)
            acknowledge(
                method,
                "COG4",
                "Callers are people and services with AWS credentials: the method is authorised by IAM.",
            )

    def _add_gateway_error(self, error: GatewayError) -> None:
        headers = {"Access-Control-Allow-Origin": "'*'", "Access-Control-Expose-Headers": "'Retry-After'"}
        if error.code == "throttled":
            headers["Retry-After"] = "'1'"
        self.rest_api.add_gateway_response(
            error.kind.response_type,
            type=error.kind,
            templates={"application/json": error.template()},
            response_headers=headers,
        )


def _add_preflight(resource: apigateway.Resource) -> None:
    """Answer a browser's OPTIONS from the gateway alone."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST,OPTIONS",
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
