"""Answers against the OpenAPI document: of a described status, and of its schema with nothing beside it."""

from __future__ import annotations

import functools
import json
from typing import Any

from jsonschema import Draft202012Validator

from leadscore.api_document import document_text


def check_answer(route: str, answer: dict[str, Any]) -> None:
    """Fail where the document describes the route's answer otherwise; a route is `GET /leads/{id}`."""
    verb, _, path = route.partition(" ")
    document = _strict_document()
    response = document["paths"][path][verb.lower()]["responses"].get(str(answer["statusCode"]))
    assert response is not None, f"{route} does not say that it answers {answer['statusCode']}"
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert {name.lower() for name in response.get("headers", {})} - {"next-cursor"} <= set(headers)
    if "content" not in response:
        assert answer["body"] == ""
        return
    kind = headers["content-type"].partition(";")[0]
    assert kind in response["content"]
    body = json.loads(answer["body"]) if kind == "application/json" else answer["body"]
    schema = {**document, **response["content"][kind]["schema"]}
    problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]
    assert problems == []


@functools.cache
def _strict_document() -> dict[str, Any]:
    """The document with every object closed: clients must let pass what is new, and these tests must see it."""
    document: dict[str, Any] = json.loads(document_text())
    document["components"]["schemas"] = {
        name: _closed_inside(schema) for name, schema in document["components"]["schemas"].items()
    }
    for holder in (document["components"]["responses"], *_responses(document)):
        for response in holder.values():
            for content in response.get("content", {}).values():
                content["schema"] = _closed(content["schema"], document)
    return document


def _responses(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation["responses"]
        for item in document["paths"].values()
        for verb, operation in item.items()
        if verb != "servers"
    ]


def _closed(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    named = schema
    while "$ref" in named:
        named = document["components"]["schemas"][named["$ref"].rpartition("/")[2]]
    inside = _closed_inside(schema)
    is_open = "additionalProperties" in named or not {"properties", "allOf"} & set(named)
    return inside if is_open else {**inside, "unevaluatedProperties": False}


def _closed_inside(schema: dict[str, Any]) -> dict[str, Any]:
    """Close the objects in a schema but not the one that it is, which may be a part of another."""
    document: dict[str, Any] = json.loads(document_text())
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: _closed(each, document) for name, each in schema["properties"].items()}
    if "items" in schema:
        closed["items"] = _closed(schema["items"], document)
    if "allOf" in schema:
        closed["allOf"] = [_closed_inside(each) for each in schema["allOf"]]
    return closed
