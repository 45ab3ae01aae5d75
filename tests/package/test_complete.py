"""The assets hold all that they need: every module is imported in an interpreter that has nothing else."""

from __future__ import annotations

import marshal
from pathlib import Path

import pytest

from tests.package.built import FUNCTIONS, ROOT, CleanInterpreter, function, layer


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_starts_in_a_clean_interpreter(clean: CleanInterpreter, name: str) -> None:
    run = clean.run(
        "import handler\nprint(handler.__file__, callable(handler.handler))",
        function(name).path,
        layer().path / "python",
    )

    assert run.errors == ""
    assert run.output.split() == [str(function(name).path / "handler.py"), "True"]


def test_every_module_of_the_layer_imports_in_a_clean_interpreter(clean: CleanInterpreter) -> None:
    packages = layer().path / "python"
    modules = [
        ".".join(path.relative_to(packages).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((packages / "leadscore").rglob("*.py"))
        # Needs msgspec, which is for bulk work outside Lambda and so not in the layer.
        if path.stem != "bulk"
    ]
    run = clean.run(f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)", packages)

    assert len(modules) > 10
    assert run.errors == ""


def test_rulesets_in_yaml_are_read_by_what_the_layer_brings(clean: CleanInterpreter) -> None:
    code = (
        "import leadscore\n"
        "document = 'tiers: [{name: hot, from: 5}, {name: cold}]\\n'\n"
        "document += 'criteria: [{id: ceo, group: fit, traits: {title: [ceo]}, points: 10}]'\n"
        "print(leadscore.parse_ruleset(document).tiers[0].name, leadscore.__file__)"
    )
    run = clean.run(code, layer().path / "python")

    assert run.errors == ""
    assert run.output.split() == ["hot", str(layer().path / "python" / "leadscore" / "__init__.py")]


def test_clean_interpreter_cannot_see_this_environment(clean: CleanInterpreter) -> None:
    for module in ("aws_lambda_powertools", "leadscore", "pytest"):
        assert "ModuleNotFoundError" in clean.run(f"import {module}").errors
    assert clean.run("import boto3").errors == ""


@pytest.mark.parametrize("name", [*FUNCTIONS, "layer"])
def test_every_module_has_bytecode_that_is_never_checked_against_its_source(name: str) -> None:
    folder = layer().path if name == "layer" else function(name).path
    sources = sorted(folder.rglob("*.py"))

    assert sources
    for source in sources:
        bytecode = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()
        # PEP 552: flag 1 is a hash instead of a time, flag 2 would be to check it.
        assert int.from_bytes(bytecode[4:8], "little") == 1, source


def test_tracebacks_name_the_paths_of_lambda() -> None:
    compiled = {
        "/opt/python/leadscore/__init__.py": layer().path / "python" / "leadscore",
        "/var/task/handler.py": function("score").path,
    }
    for where, folder in compiled.items():
        bytecode = (folder / "__pycache__" / f"{Path(where).stem}.cpython-313.pyc").read_bytes()
        assert marshal.loads(bytecode[16:]).co_filename == where


def test_assets_stay_small() -> None:
    """Lambda fetches and unpacks them at a cold start; figures of the day are in `python -m infra.bundling`."""
    assert layer().size() < 10_000_000
    assert {name: function(name).size() < 100_000 for name in FUNCTIONS} == dict.fromkeys(FUNCTIONS, True)


def test_functions_are_all_here() -> None:
    assert {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")} == set(FUNCTIONS)
