"""The JSON Schema and RULESET.md against the parser: three descriptions of one language, none of which may drift."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import leadscore
from leadscore.core.documents import read_document
from leadscore.core.parsing import parse_ruleset
from leadscore.core.sections import FIELDS
from tests.unit.ruleset_cases import BadCase, bad_cases, good_texts

LAYER = Path(leadscore.__file__).parents[2]
REFERENCE = (LAYER / "RULESET.md").read_text()
SCHEMA: dict[str, Any] = json.loads(Path(leadscore.__file__).with_name("ruleset.schema.json").read_text())
DEFAULT_RULESET = Path(__file__).parents[2] / "infra" / "ruleset.yaml"
GOOD = {**good_texts(), "default": DEFAULT_RULESET.read_text()}


def accepts(text: str) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(read_document(text, []))


def section_of_schema(kind: str) -> dict[str, Any]:
    section: dict[str, Any] = SCHEMA if kind == "ruleset" else SCHEMA["$defs"][kind]
    return section


def documented_fields(kind: str) -> list[str]:
    """The first cells of the table under the heading of `kind`."""
    section = REFERENCE.split(f"\n## {kind}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", GOOD)
def test_schema_accepts_what_the_parser_accepts(name: str) -> None:
    assert accepts(GOOD[name])


@pytest.mark.parametrize("case", bad_cases(), ids=lambda case: case.name)
def test_schema_refuses_what_the_parser_refuses_unless_only_the_parser_can_know(case: BadCase) -> None:
    assert accepts(case.text) is False or case.schema_is_silent


@pytest.mark.parametrize("kind", FIELDS)
def test_parser_schema_and_reference_know_the_same_fields(kind: str) -> None:
    assert list(section_of_schema(kind)["properties"]) == list(FIELDS[kind])
    assert documented_fields(kind) == list(FIELDS[kind])


@pytest.mark.parametrize("kind", FIELDS)
def test_schema_describes_every_field_and_allows_no_other(kind: str) -> None:
    section = section_of_schema(kind)
    assert section["additionalProperties"] is False
    for name, field in section["properties"].items():
        target = SCHEMA["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
        assert field.get("description") or target.get("description"), name


def test_examples_and_defaults_of_the_schema_fit_it() -> None:
    seen = 0
    for kind in FIELDS:
        for field in section_of_schema(kind)["properties"].values():
            validator = Draft202012Validator({**field, "$defs": SCHEMA["$defs"]})
            for example in [*field.get("examples", []), *([field["default"]] if "default" in field else [])]:
                validator.validate(example)
                seen += 1
    assert seen > 20


def test_rulesets_in_the_reference_are_rulesets() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert parse_ruleset(block).criteria
        assert accepts(block)
