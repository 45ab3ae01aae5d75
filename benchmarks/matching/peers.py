"""The peers from PyPI, each given the same rules in its own language, as well as that language allows.

Nothing is imported before its engine is built, so that one that is not installed only misses its own row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from benchmarks.matching.conditions import Condition, Either, Path, Rule, Test, paths_of
from benchmarks.matching.engines import Event, Match, wildcard_regex
from benchmarks.matching.workload import Document

Json = dict[str, Any]


# --------------------------------------------------------------------------------------------------- jsonschema-rs


def build_jsonschema_rs(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """One validator per criterion."""
    import jsonschema_rs

    validators = [
        (name, jsonschema_rs.validator_for(_schema(rule)).is_valid) for name, rule in zip(ids, rules, strict=True)
    ]
    return lambda event: [name for name, is_valid in validators if is_valid(event)]


def _schema(rule: Rule) -> Json:
    parts: list[Json] = []
    for part in rule:
        if isinstance(part, Condition):
            parts.append(_field_schema(part))
        else:
            parts.append({"anyOf": [{"allOf": [_field_schema(c) for c in branch]} for branch in part.branches]})
    return {"allOf": parts}


def _field_schema(condition: Condition) -> Json:
    if condition.tests == (Test("exists", operand=False),):
        return {"not": _nest(condition.path, {})}
    tests = [_value_schema(test) for test in condition.tests]
    equals = [test.operand for test in condition.tests if test.kind == "equal"]
    if len(equals) == len(tests):
        return _nest(condition.path, {"const": equals[0]} if len(equals) == 1 else {"enum": equals})
    return _nest(condition.path, tests[0] if len(tests) == 1 else {"anyOf": tests})


def _nest(path: Path, schema: Json) -> Json:
    for name in reversed(path):
        schema = {"type": "object", "properties": {name: schema}, "required": [name]}
    return schema


def _value_schema(test: Test) -> Json:
    operand = test.operand
    match test.kind:
        case "equal":
            return {"const": operand}
        case "prefix":
            return {"type": "string", "pattern": "^" + re.escape(operand)}
        case "suffix":
            return {"type": "string", "pattern": re.escape(operand) + "$"}
        case "folded":
            return {"type": "string", "pattern": f"^(?i:{re.escape(operand)})$"}
        case "wildcard":
            return {"type": "string", "pattern": f"^{wildcard_regex(operand)}$"}
        case "but":
            return {"not": {"enum": operand}}
        case "exists":
            return {}
        case "range":
            names = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
            return {"type": "number", **{names[name]: number for name, number in operand}}


# ------------------------------------------------------------------------------------------------------ zen-engine


def build_zen_engine(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """One decision table that collects: a column per field, a row per criterion."""
    import zen

    columns = {path: f"c{i}" for i, path in enumerate(paths_of(rules))}
    inputs = [{"id": column, "name": column, "field": ".".join(path)} for path, column in columns.items()]
    table = {
        "hitPolicy": "collect",
        "inputs": [*inputs, {"id": "whole", "name": "whole"}],
        "outputs": [{"id": "out", "name": "id", "field": "id"}],
        "rules": [_zen_row(name, rule, columns) for name, rule in zip(ids, rules, strict=True)],
    }
    nodes: list[Json] = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "table", "type": "decisionTableNode", "name": "table", "content": table},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    edges = [
        {"id": "1", "sourceId": "in", "targetId": "table", "type": "edge"},
        {"id": "2", "sourceId": "table", "targetId": "out", "type": "edge"},
    ]
    content = {"nodes": [{**node, "position": {"x": 0, "y": 0}} for node in nodes], "edges": edges}
    decision = zen.ZenEngine().create_decision(zen.ZenDecisionContent(json.dumps(content)))
    evaluate: Callable[[Event], Any] = decision.evaluate
    return lambda event: [row["id"] for row in evaluate(event)["result"] or ()]


def _zen_row(name: str, rule: Rule, columns: dict[Path, str]) -> Json:
    row = {"_id": name, "out": json.dumps(name)}
    for part in rule:
        if isinstance(part, Condition):
            row[columns[part.path]] = _zen_cell(part, "$")
        else:
            row["whole"] = _zen_either(part)
    return row


def _zen_either(either: Either) -> str:
    branches = [" and ".join(f"({_zen_cell(c, '.'.join(c.path))})" for c in branch) for branch in either.branches]
    return " or ".join(f"({branch})" for branch in branches)


def _zen_cell(condition: Condition, value: str) -> str:
    equals = [test.operand for test in condition.tests if test.kind == "equal"]
    if value == "$" and len(equals) == len(condition.tests):
        return ", ".join(json.dumps(one) for one in equals)
    # Without parentheses, which a cell reads as an open interval: `and` binds more tightly than `or`.
    return " or ".join(_zen_test(test, value) for test in condition.tests)


def _zen_test(test: Test, value: str) -> str:
    operand = test.operand
    match test.kind:
        case "equal":
            return f"{value} == {json.dumps(operand)}"
        case "prefix":
            return f'type({value}) == "string" and startsWith({value}, {json.dumps(operand)})'
        case "suffix":
            return f'type({value}) == "string" and endsWith({value}, {json.dumps(operand)})'
        case "folded":
            return f'type({value}) == "string" and lower({value}) == {json.dumps(operand.lower())}'
        case "wildcard":
            return f'type({value}) == "string" and matches({value}, {json.dumps(f"^{wildcard_regex(operand)}$")})'
        case "but":
            return f"{value} != null and {value} not in {json.dumps(operand)}"
        case "exists":
            return f"{value} {'!=' if operand else '=='} null"
        case "range":
            return f'type({value}) == "number" and ' + " and ".join(f"{value} {name} {n}" for name, n in operand)


# ------------------------------------------------------------------------------------ common-expression-language


def build_cel(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """One compiled program per criterion over one context per event."""
    import cel

    programs = [(name, cel.compile(_cel_rule(rule)).execute) for name, rule in zip(ids, rules, strict=True)]

    def match(event: Event) -> list[str]:
        context = cel.Context({"e": event})
        return [name for name, execute in programs if execute(context)]

    return match


def _cel_rule(rule: Rule) -> str:
    parts: list[str] = []
    for part in rule:
        if isinstance(part, Condition):
            parts.append(_cel_condition(part))
        else:
            branches = [" && ".join(_cel_condition(c) for c in branch) for branch in part.branches]
            parts.append("(" + " || ".join(f"({branch})" for branch in branches) + ")")
    return " && ".join(parts)


def _cel_condition(condition: Condition) -> str:
    value = "e." + ".".join(condition.path)
    present = " && ".join(f"has(e.{'.'.join(condition.path[: i + 1])})" for i in range(len(condition.path)))
    if condition.tests == (Test("exists", operand=False),):
        return f"!({present})"
    equals = [test.operand for test in condition.tests if test.kind == "equal"]
    if len(equals) == len(condition.tests) > 1:
        return f"{present} && {value} in {json.dumps(equals)}"
    return f"{present} && (" + " || ".join(f"({_cel_test(test, value)})" for test in condition.tests) + ")"


def _cel_test(test: Test, value: str) -> str:
    operand = test.operand
    match test.kind:
        case "equal":
            return f"{value} == {json.dumps(operand)}"
        case "prefix":
            return f"{value}.startsWith({json.dumps(operand)})"
        case "suffix":
            return f"{value}.endsWith({json.dumps(operand)})"
        case "folded":
            return f"{value}.matches({json.dumps(f'^(?i:{re.escape(operand)})$')})"
        case "wildcard":
            return f"{value}.matches({json.dumps(f'^{wildcard_regex(operand)}$')})"
        case "but":
            return f"!({value} in {json.dumps(operand)})"
        case "exists":
            return "true"
        case "range":
            return " && ".join(f"{value} {name} {number}" for name, number in operand)


# ------------------------------------------------------------------------------------------------- panzi-json-logic


def build_json_logic(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """One expression per criterion, with three operators added for what the language lacks."""
    from json_logic.apply import apply  # type: ignore[import-untyped]
    from json_logic.builtins import BUILTINS  # type: ignore[import-untyped]

    operations = {**BUILTINS, "glob": _logic_glob, "lower": _logic_lower, "has": _logic_has}
    logics = [(name, _logic_rule(rule)) for name, rule in zip(ids, rules, strict=True)]
    return lambda event: [name for name, logic in logics if apply(logic, event, operations)]


_globs: dict[str, Callable[[str], object]] = {}


def _logic_glob(_data: Any, value: Any, regex: str) -> bool:
    if regex not in _globs:
        _globs[regex] = re.compile(regex, re.DOTALL).fullmatch
    return isinstance(value, str) and _globs[regex](value) is not None


def _logic_lower(_data: Any, value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _logic_has(data: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return False
        data = data[name]
    return True


def _logic_rule(rule: Rule) -> Json:
    parts: list[Json] = []
    for part in rule:
        if isinstance(part, Condition):
            parts.append(_logic_condition(part))
        else:
            parts.append({"or": [{"and": [_logic_condition(c) for c in branch]} for branch in part.branches]})
    return {"and": parts}


def _logic_condition(condition: Condition) -> Json:
    path = ".".join(condition.path)
    equals = [test.operand for test in condition.tests if test.kind == "equal"]
    if len(equals) == len(condition.tests) > 1:
        return {"in": [{"var": path}, equals]}
    tests = [_logic_test(test, path) for test in condition.tests]
    return tests[0] if len(tests) == 1 else {"or": tests}


def _logic_test(test: Test, path: str) -> Json:
    operand, value = test.operand, {"var": path}
    match test.kind:
        case "equal":
            return {"===": [value, operand]}
        case "prefix":
            return {"===": [{"substr": [value, 0, len(operand)]}, operand]}
        case "suffix":
            return {"===": [{"substr": [value, -len(operand)]}, operand]}
        case "folded":
            return {"===": [{"lower": [value]}, operand.lower()]}
        case "wildcard":
            return {"glob": [value, wildcard_regex(operand)]}
        case "but":
            return {"and": [{"has": [path]}, {"!": {"in": [value, operand]}}]}
        case "exists":
            return {"has": [path]} if operand else {"!": {"has": [path]}}
        case "range":
            return {"and": [{"has": [path]}, *({name: [value, number]} for name, number in operand)]}


# --------------------------------------------------------------------------------------------------- business-rules


def build_business_rules(_documents: list[Document], rules: list[Rule], ids: list[str]) -> Match:
    """One rule per criterion with `all` and `any`; each field is a variable, and so is its presence."""
    from business_rules.engine import check_conditions_recursively  # type: ignore[import-untyped]

    variables = _business_variables(paths_of(rules))
    conditions = [(name, _business_rule(rule)) for name, rule in zip(ids, rules, strict=True)]

    def match(event: Event) -> list[str]:
        values = variables(event)
        return [name for name, condition in conditions if check_conditions_recursively(condition, values)]

    return match


def _business_variables(fields: dict[Path, list[Test]]) -> Callable[[Event], object]:
    from business_rules import variables  # type: ignore[import-untyped]

    def read(event: Event, path: Path) -> tuple[bool, Any]:
        value: Any = event
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return False, None
            value = value[name]
        return True, value

    members: dict[str, Any] = {"__init__": lambda self, event: setattr(self, "_source", event)}
    for path, tests in fields.items():
        name = "_".join(path)
        wrap, default = _business_kind(variables, tests)
        members[f"has_{name}"] = variables.boolean_rule_variable()(lambda self, p=path: read(self._source, p)[0])
        members[name] = wrap()(lambda self, p=path, d=default: read(self._source, p)[1] or d)
    return type("Variables", (variables.BaseVariables,), members)


def _business_kind(variables: Any, tests: list[Test]) -> tuple[Any, Any]:
    if any(test.kind == "range" for test in tests):
        return variables.numeric_rule_variable, 0
    if any(isinstance(test.operand, bool) and test.kind == "equal" for test in tests):
        return variables.boolean_rule_variable, False
    return variables.string_rule_variable, ""


def _business_rule(rule: Rule) -> Json:
    parts: list[Json] = []
    for part in rule:
        if isinstance(part, Condition):
            parts.append(_business_condition(part))
        else:
            parts.append({"any": [{"all": [_business_condition(c) for c in branch]} for branch in part.branches]})
    return {"all": parts}


def _business_condition(condition: Condition) -> Json:
    name = "_".join(condition.path)
    tests = [{"all": _business_test(test, name)} for test in condition.tests]
    return tests[0] if len(tests) == 1 else {"any": tests}


def _business_test(test: Test, name: str) -> list[Json]:
    operand = test.operand
    present = {"name": f"has_{name}", "operator": "is_true", "value": None}
    match test.kind:
        case "equal" if isinstance(operand, bool):
            return [present, {"name": name, "operator": "is_true" if operand else "is_false", "value": None}]
        case "equal":
            return [{"name": name, "operator": "equal_to", "value": operand}]
        case "prefix":
            return [{"name": name, "operator": "starts_with", "value": operand}]
        case "suffix":
            return [{"name": name, "operator": "ends_with", "value": operand}]
        case "folded":
            return [{"name": name, "operator": "equal_to_case_insensitive", "value": operand}]
        case "wildcard":
            return [{"name": name, "operator": "matches_regex", "value": f"^{wildcard_regex(operand)}$"}]
        case "but":
            others = "|".join(re.escape(one) for one in operand)
            return [present, {"name": name, "operator": "matches_regex", "value": f"^(?!(?:{others})$)"}]
        case "exists":
            return [{**present, "operator": "is_true" if operand else "is_false"}]
        case "range":
            names = {
                ">=": "greater_than_or_equal_to", ">": "greater_than", "<=": "less_than_or_equal_to", "<": "less_than",
            }  # fmt: skip
            return [present, *({"name": name, "operator": names[op], "value": number} for op, number in operand)]


# ------------------------------------------------------------------------------------------------------------- moto


def build_moto(documents: list[Document], _rules: list[Rule], ids: list[str]) -> Match:
    """Its EventBridge pattern class as shipped, one object per criterion."""
    from moto.events.models import EventPattern

    patterns = [
        (name, EventPattern(None, document).matches_event) for name, document in zip(ids, documents, strict=True)
    ]
    return lambda event: [name for name, matches in patterns if matches(event)]  # type: ignore[arg-type]
