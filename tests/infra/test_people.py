"""The user pool: who gets in, by what, and what is reached with it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.stages import Stage
from tests.infra.synthesized import Assembly, assemblies

KINDS = ("AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient", "AWS::ApiGateway::Authorizer")


def only(assembly: Assembly, kind: str) -> dict[str, Any]:
    [found] = assembly.properties(kind).values()
    return found


@pytest.fixture
def peopled() -> Assembly:
    return Assembly(assemblies() / "peopled", "local")


def test_there_is_a_pool_but_in_the_local_stage(assembly: Assembly, stage: Stage) -> None:
    wanted = 0 if stage.name == "local" else 1

    assert [len(assembly.properties(kind)) for kind in KINDS] == [wanted] * 3
    assert ("PeoplePoolId" in assembly.template("stateful")["Outputs"]) is bool(wanted)


def test_the_context_has_the_last_word(peopled: Assembly) -> None:
    impersonal = Assembly(assemblies() / "impersonal", "dev")

    assert [len(peopled.properties(kind)) for kind in KINDS] == [1, 1, 1]
    assert [len(impersonal.properties(kind)) for kind in KINDS] == [0, 0, 0]


def test_nobody_signs_up_and_a_password_alone_lets_nobody_in(peopled: Assembly) -> None:
    pool, client = only(peopled, "AWS::Cognito::UserPool"), only(peopled, "AWS::Cognito::UserPoolClient")

    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 12
    assert pool["UsernameAttributes"] == ["email"]
    assert set(client["ExplicitAuthFlows"]) == {"ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["GenerateSecret"] is False
    assert client.get("AllowedOAuthFlowsUserPoolClient", False) is False


def test_a_token_is_one_of_this_pool(peopled: Assembly) -> None:
    authorizer = only(peopled, "AWS::ApiGateway::Authorizer")

    assert authorizer["Type"] == "COGNITO_USER_POOLS"
    assert [peopled.show(arn) for arn in authorizer["ProviderARNs"]] == ["PeoplePool.Arn"]
    assert authorizer["IdentitySource"] == "method.request.header.Authorization"


def test_prod_keeps_its_people_and_protects_them() -> None:
    prod = Assembly(assemblies() / "prod", "prod")
    [resource] = prod.resources("AWS::Cognito::UserPool").values()

    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert resource["Properties"]["DeletionProtection"] == "ACTIVE"
    # A changed logical id makes a new pool, with nobody in it.
    assert [
        name
        for name, each in prod.template("stateful")["Resources"].items()
        if each["Type"] == "AWS::Cognito::UserPool"
    ] == ["PeoplePoolC64A4D1E"]
