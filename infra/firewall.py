"""The optional stack with a web ACL in front of the REST API; the emulator cannot attach one, so it stands alone.

What is blocked is answered by the API's own gateway response, or by a body of the same form: SDKs drop or retry as
with any other answer. Rules that judge a body by its size, or by what looks like SQL or script, are left out: events
are large and full of URLs and of text that people wrote, and ingest bounds and parses every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

# AWS's own lists: addresses known for attacks, and requests that fit a published exploit.
_AWS_RULE_GROUPS = ("AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet")
# Per address in five minutes: a hundred a second, as a company's backend may send from one.
REQUESTS_PER_ADDRESS = 30_000
_TOO_MANY = "TooManyRequests"


class FirewallStack(Stack):
    """A web ACL for the stages of the REST API whose ARNs are given."""

    def __init__(self, scope: Construct, *, stage_name: str, api_stages: Sequence[str]) -> None:
        super().__init__(scope, f"leadscore-{stage_name}-firewall", description="Leadscore: web ACL of the REST API")
        acl = waf.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            custom_response_bodies={
                _TOO_MANY: waf.CfnWebACL.CustomResponseBodyProperty(
                    content_type="APPLICATION_JSON",
                    content=json.dumps({"code": "throttled", "message": "Too many requests; try again in a moment."}),
                )
            },
            rules=[_rate_rule(priority=0), *(_aws_rule(name, 1 + i) for i, name in enumerate(_AWS_RULE_GROUPS))],
            visibility_config=_visibility("WebAcl"),
        )
        for number, arn in enumerate(api_stages):
            waf.CfnWebACLAssociation(self, f"Association{number}", resource_arn=arn, web_acl_arn=acl.attr_arn)


def _rate_rule(*, priority: int) -> waf.CfnWebACL.RuleProperty:
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After", "Retry-After": "60"}
    return waf.CfnWebACL.RuleProperty(
        name="RatePerAddress",
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(
            rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=REQUESTS_PER_ADDRESS
            )
        ),
        action=waf.CfnWebACL.RuleActionProperty(
            block=waf.CfnWebACL.BlockActionProperty(
                # 429, not 403: SDKs keep their events and come back.
                custom_response=waf.CfnWebACL.CustomResponseProperty(
                    response_code=429,
                    custom_response_body_key=_TOO_MANY,
                    response_headers=[
                        waf.CfnWebACL.CustomHTTPHeaderProperty(name=name, value=value)
                        for name, value in headers.items()
                    ],
                )
            )
        ),
        visibility_config=_visibility("RatePerAddress"),
    )


def _aws_rule(name: str, priority: int) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(vendor_name="AWS", name=name)
        ),
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_visibility(name),
    )


def _visibility(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    """Count what is blocked, and keep no samples: a request holds a write key and an address."""
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
