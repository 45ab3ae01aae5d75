"""What the context can add at the edge, a web ACL and a usage plan, and that nothing of it is there unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from infra.application import ContextError, build_app
from tests.infra.synthesize_stages import OWN_DOMAIN
from tests.infra.synthesized import Assembly, assemblies

ROOT = Path(__file__).parents[2]


@pytest.fixture
def guarded() -> Assembly:
    return Assembly(assemblies() / "guarded", "dev")


def firewall(guarded: Assembly, kind: str) -> list[dict[str, Any]]:
    resources = guarded.template("firewall")["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == kind]


def test_a_web_acl_stands_before_both_stages(guarded: Assembly) -> None:
    [acl] = firewall(guarded, "AWS::WAFv2::WebACL")
    associated = [json.dumps(each["ResourceArn"]) for each in firewall(guarded, "AWS::WAFv2::WebACLAssociation")]

    assert (acl["Scope"], acl["DefaultAction"]) == ("REGIONAL", {"Allow": {}})
    assert len(associated) == 2
    assert all("/restapis/" in arn and "/stages/" in arn for arn in associated)
    assert len(set(associated)) == 2


def test_who_sends_too_much_is_told_so_in_the_sdks_terms(guarded: Assembly) -> None:
    [acl] = firewall(guarded, "AWS::WAFv2::WebACL")
    [rate] = [rule for rule in acl["Rules"] if "RateBasedStatement" in rule["Statement"]]
    answer = rate["Action"]["Block"]["CustomResponse"]
    body = acl["CustomResponseBodies"][answer["CustomResponseBodyKey"]]

    assert answer["ResponseCode"] == 429
    assert {"Name": "Access-Control-Allow-Origin", "Value": "*"} in answer["ResponseHeaders"]
    assert "Retry-After" in {header["Name"] for header in answer["ResponseHeaders"]}
    assert json.loads(body["Content"]).keys() == {"code", "message"}


def test_the_web_acl_judges_no_event_by_its_size_and_keeps_no_samples(guarded: Assembly) -> None:
    [acl] = firewall(guarded, "AWS::WAFv2::WebACL")
    groups = [rule["Statement"].get("ManagedRuleGroupStatement", {}).get("Name") for rule in acl["Rules"]]
    kept = [each["VisibilityConfig"]["SampledRequestsEnabled"] for each in (acl, *acl["Rules"])]

    assert "AWSManagedRulesAmazonIpReputationList" in groups
    assert "AWSManagedRulesCommonRuleSet" not in groups
    assert not any(kept)


def test_metered_readers_need_a_key_and_senders_none(guarded: Assembly) -> None:
    [plan] = guarded.properties("AWS::ApiGateway::UsagePlan").values()
    methods = guarded.properties("AWS::ApiGateway::Method").values()

    assert {method["AuthorizationType"] for method in methods if method.get("ApiKeyRequired")} == {
        "AWS_IAM",
        "COGNITO_USER_POOLS",
    }
    assert {method["AuthorizationType"] for method in methods if not method.get("ApiKeyRequired")} == {"NONE"}
    assert plan["Throttle"]["RateLimit"] > 0
    assert plan["Quota"]["Period"] == "DAY"
    assert len(guarded.properties("AWS::ApiGateway::UsagePlanKey")) == 1
    assert "ReadersKeyId" in guarded.template("stateless")["Outputs"]


def test_nag_has_nothing_to_say_of_them(guarded: Assembly) -> None:
    report = json.loads((guarded.folder / "validation-report.json").read_text(encoding="utf-8"))

    assert [each["violations"] for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"] == [[]]


def test_unasked_there_is_neither(assembly: Assembly) -> None:
    assert not assembly.file("firewall").exists()
    assert assembly.properties("AWS::ApiGateway::UsagePlan") == {}
    assert not any(m.get("ApiKeyRequired") for m in assembly.properties("AWS::ApiGateway::Method").values())


def test_the_local_stage_leaves_the_web_acl_out() -> None:
    asked = Assembly(assemblies() / "guarded-local", "local")

    assert asked.file("stateless").exists()
    assert not asked.file("firewall").exists()


@pytest.mark.parametrize("name", ["waf", "people"])
@pytest.mark.parametrize("value", ["yes", "1", "", "True"])
def test_a_switch_that_is_neither_true_nor_false_is_an_error(name: str, value: str) -> None:
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    with pytest.raises(ContextError, match=name):
        build_app(App(context={**context, "stage": "dev", name: value}), ROOT)


def test_the_links_of_alerts_begin_with_the_domain_that_the_context_names() -> None:
    functions = Assembly(assemblies() / "impersonal", "dev").properties("AWS::Lambda::Function")
    variables = functions["NotifyFunction"]["Environment"]["Variables"]

    assert variables["FEEDBACK_URL"] == OWN_DOMAIN.rstrip("/")


@pytest.mark.parametrize("url", ["http://leads.company.example/v1", "leads.company.example", "javascript:x"])
def test_the_links_of_alerts_lead_nowhere_but_over_tls(url: str) -> None:
    with pytest.raises(ContextError, match="feedback_url"):
        build_app(App(context={"stage": "dev", "feedback_url": url}), ROOT)
