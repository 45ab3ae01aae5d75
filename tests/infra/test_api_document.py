"""The OpenAPI document against the template and the code: every route, and every error that can be answered."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from openapi_spec_validator import validate

from infra.public_api import BEACON_STAGE, PEOPLE_PATH
from leadscore.api_document import document_text, methods_of
from tests.infra.synthesized import ROOT, Assembly, assemblies

LAYER = ROOT / "layers" / "scoring" / "python" / "leadscore"
READERS = [ROOT / "functions" / name / "handler.py" for name in ("api", "erase", "feedback", "publish", "diff")]
SENDERS = [
    ROOT / "functions" / "ingest" / "handler.py",
    LAYER / "usecases" / "ingesting.py",
    *(LAYER / "ingest").glob("*.py"),
]
# What only the bus or an archive can bring.
NOT_BY_HTTP = {"invalid_envelope", "unknown_source"}
Told = set[tuple[int, str]]
# docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
GATEWAY_STATUS = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
# What has no status of its own: where it is known to come up.
DEFAULT_STATUSES = {"DEFAULT_4XX": (400, 403), "DEFAULT_5XX": (500, 502)}


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(document_text())
    return loaded


@pytest.fixture
def guarded() -> Assembly:
    """The stage with everything that the context can add."""
    return Assembly(assemblies() / "guarded", "dev")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for verb in item.keys() & {"get", "head", "post", "put", "patch", "delete"}:
            yield verb.upper(), path, {"servers": item.get("servers"), **item[verb]}


def deployed(assembly: Assembly) -> dict[tuple[str, str], dict[str, Any]]:
    resources = assembly.properties("AWS::ApiGateway::Resource")

    def path(reference: Any) -> str:
        shown = assembly.show(reference)
        if shown not in resources:
            return ""
        return f"{path(resources[shown]['ParentId'])}/{resources[shown]['PathPart']}"

    methods = assembly.properties("AWS::ApiGateway::Method").values()
    return {
        (each["HttpMethod"], path(each["ResourceId"])): each
        for each in methods
        if each["HttpMethod"] not in {"OPTIONS", "ANY"}
    }


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1.")


def test_every_route_of_the_template_is_in_the_document_and_the_other_way_round(
    document: dict[str, Any], guarded: Assembly
) -> None:
    described = {(verb, path) for verb, path, _ in operations(document)}
    for_people = {
        (verb, f"/{PEOPLE_PATH}{path}")
        for verb, path, operation in operations(document)
        if any(server["url"].endswith(f"/{PEOPLE_PATH}") for server in operation["servers"] or ())
    }

    assert set(deployed(guarded)) == described | for_people
    assert for_people


def test_who_may_call_is_what_the_template_asks_for(document: dict[str, Any], guarded: Assembly) -> None:
    methods = deployed(guarded)
    for verb, path, operation in operations(document):
        schemes = {name for each in operation["security"] for name in each}
        if methods[verb, path]["AuthorizationType"] == "AWS_IAM":
            assert schemes >= {"sigv4", "readersKey"}
            assert ("cognito" in schemes) == ((verb, f"/{PEOPLE_PATH}{path}") in methods)
        else:
            assert not schemes & {"sigv4", "readersKey", "cognito"}
    assert {methods[route]["AuthorizationType"] for route in methods if route[1].startswith(f"/{PEOPLE_PATH}/")} == {
        "COGNITO_USER_POOLS"
    }


def test_the_beacon_is_on_the_stage_of_that_name(document: dict[str, Any]) -> None:
    assert document["paths"]["/v1/batch"]["post"]["servers"] == [{"url": f"/{BEACON_STAGE}"}]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_the_sdks_short_names_are_described_as_the_long_ones(document: dict[str, Any]) -> None:
    kinds = ("identify", "track", "page", "screen", "group", "alias", "batch")
    told_apart = {"operationId", "summary"}

    for kind in kinds:
        long, short = (document["paths"][f"/{name}"]["post"] for name in (kind, kind[0]))
        assert {key: value for key, value in long.items() if key not in told_apart} == {
            key: value for key, value in short.items() if key not in told_apart
        }
        assert short["operationId"] == f"{long['operationId']}Short"


def calls(paths: list[Any], name: str) -> Iterator[list[ast.expr]]:
    """Yield the arguments of every call of that function or class."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node.args


def refused_by_readers() -> Told:
    told = set()
    for status, code, *_ in calls([*READERS, LAYER / "proxying.py"], "refuse"):
        assert isinstance(status, ast.Attribute)
        assert isinstance(code, ast.Constant)
        told.add((HTTPStatus[status.attr].value, str(code.value)))
    return told


def refused_by_senders() -> Told:
    told = set()
    for status, code, *_ in calls(SENDERS, "RequestRefusedError"):
        assert isinstance(status, ast.Constant)
        assert isinstance(code, ast.Constant)
        told.add((int(str(status.value)), str(code.value)))
    return told


def codes_of_events() -> set[str]:
    codes = set()
    for code, *_ in calls([LAYER / "normalising.py"], "InvalidEvent"):
        assert isinstance(code, ast.Constant)
        codes.add(str(code.value))
    return codes - NOT_BY_HTTP


def refused_by_the_gateway(assembly: Assembly) -> Told:
    told = set()
    for each in assembly.properties("AWS::ApiGateway::GatewayResponse").values():
        [template] = each["ResponseTemplates"].values()
        code = json.loads(template.replace("$context.error.messageString", '""'))["code"]
        kind = each["ResponseType"]
        own = DEFAULT_STATUSES.get(kind) or (int(each.get("StatusCode") or GATEWAY_STATUS[kind]),)
        told |= {(status, code) for status in own}
    return told


def described_errors(document: dict[str, Any], *tags: str) -> Told:
    return {
        (int(status), code)
        for _, _, operation in operations(document)
        if operation["tags"][0] in tags
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in codes_in(document, response)
    }


def codes_in(document: dict[str, Any], response: dict[str, Any]) -> list[str]:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    [(kind, content)] = response["content"].items()
    if kind == "text/html":
        # A page for people has no code.
        return []
    base, own = content["schema"]["allOf"]
    assert base == {"$ref": "#/components/schemas/Error"}
    codes: list[str] = own["properties"]["code"]["enum"]
    return codes


def everywhere(document: dict[str, Any]) -> Told:
    """What the document says of paths and methods that are not in it."""
    responses = document["components"]["responses"]
    return {(405, code) for code in codes_in(document, responses["MethodNotAllowed"])} | {
        (404, code) for code in codes_in(document, responses["NoSuchPath"])
    }


def test_every_error_that_the_code_can_answer_is_documented(document: dict[str, Any], guarded: Assembly) -> None:
    reading = described_errors(document, "Read", "Erase", "Feedback", "Publish", "Service")
    sending = described_errors(document, "Send") | everywhere(document)
    events = {(400, code) for code in codes_of_events()}

    assert refused_by_readers() - reading == set()
    assert (refused_by_senders() | events) - sending == set()
    assert refused_by_the_gateway(guarded) - (reading | sending) == set()


def test_every_documented_error_is_one_that_can_be_answered(document: dict[str, Any], guarded: Assembly) -> None:
    gateway = refused_by_the_gateway(guarded)
    events = {(400, code) for code in codes_of_events()}

    assert (
        described_errors(document, "Read", "Erase", "Feedback", "Publish", "Service") - refused_by_readers() - gateway
        == set()
    )
    assert described_errors(document, "Send") - refused_by_senders() - events - gateway == set()
    assert everywhere(document) <= refused_by_senders()


def test_the_codes_of_rejected_events_are_those_of_the_normaliser(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["Rejected"]["properties"]["code"]["enum"]) == codes_of_events()


def test_the_readers_functions_answer_the_documents_routes_and_no_others(document: dict[str, Any]) -> None:
    described = {f"{verb} {path}" for verb, path, operation in operations(document) if operation["tags"] != ["Send"]}

    assert {route for path in READERS for route in routes_of(path.read_text(encoding="utf-8"))} == described


def routes_of(source: str) -> list[str]:
    """Return the keys of the module's `ROUTES`, without importing it: that takes an environment."""
    for node in ast.parse(source).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="ROUTES")], value=ast.Dict(keys=keys))
                | ast.AnnAssign(target=ast.Name(id="ROUTES"), value=ast.Dict(keys=keys))
            ):
                return [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    raise AssertionError("there is no ROUTES")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/leads", ("GET",)),
        ("/leads/ada", ("GET", "DELETE")),
        ("/leads/ada/", ("GET", "DELETE")),
        ("/leads/ada/export", ("GET",)),
        ("/alerts/a1/verdict", ("GET", "POST", "PUT")),
        ("/ruleset", ("GET", "PUT")),
        ("/people/ruleset", ("GET",)),
        ("/people/ruleset/history", ()),
        ("/people/alerts/a1/verdict", ()),
        ("/people/leads/ada", ("GET",)),
        ("/people/health", ()),
        ("/people", ()),
        ("/batch", ("POST",)),
        ("/sourceConfig", ("GET", "HEAD")),
        ("/leads/ada/export/more", ()),
        ("/wp-login.php", ()),
        ("/", ()),
    ],
)
def test_the_document_tells_which_methods_a_path_has(path: str, methods: tuple[str, ...]) -> None:
    assert methods_of(path) == methods
