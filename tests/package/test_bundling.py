"""The bundler: the same in gives the same out, a change is noticed, and what must not be deployed is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from infra import bundling
from infra.bundling import BundlingError, bundle_function, bundle_layer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the bundler reads, with a small function."""
    for name in ("pyproject.toml", "uv.lock", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "layers", tmp_path / "layers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "functions" / "greet").mkdir(parents=True)
    (tmp_path / "functions" / "greet" / "handler.py").write_text("def handler(event, context):\n    return 1\n")
    if not shutil.which("uv"):
        (tmp_path / ".tools").symlink_to(ROOT / ".tools")
    return tmp_path


def _content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_building_the_layer_again_gives_the_same_bytes(project: Path) -> None:
    first = bundle_layer(project)
    content = _content(first.path)
    shutil.rmtree(project / ".build")

    second = bundle_layer(project)

    assert second == first
    assert _content(second.path) == content


def test_unchanged_sources_are_not_built_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle_function(project, "greet")
    monkeypatch.setattr(bundling, "_compile", lambda *_: pytest.fail("built again"))
    (project / "functions" / "greet" / "__pycache__").mkdir()
    (project / "functions" / "greet" / "__pycache__" / "handler.cpython-313.pyc").write_bytes(b"of a test run")

    assert bundle_function(project, "greet") == first


def test_digest_does_not_depend_on_where_the_project_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "checkout"
    shutil.copytree(project / "functions", elsewhere / "functions")

    here, there = bundle_function(project, "greet"), bundle_function(elsewhere, "greet")

    assert here.digest == there.digest
    assert _content(here.path) == _content(there.path)


def test_changed_source_is_another_asset_and_leaves_the_old_one(project: Path) -> None:
    before = bundle_function(project, "greet")
    (project / "functions" / "greet" / "handler.py").write_text("def handler(event, context):\n    return 2\n")

    after = bundle_function(project, "greet")

    assert after.digest != before.digest
    assert "return 2" in (after.path / "handler.py").read_text()
    assert "return 1" in (before.path / "handler.py").read_text()


def test_renamed_module_is_another_asset(project: Path) -> None:
    before = bundle_function(project, "greet").digest
    (project / "functions" / "greet" / "words.py").write_text("")

    assert bundle_function(project, "greet").digest != before


def test_handler_is_at_the_top_of_its_asset_and_is_no_package(project: Path) -> None:
    (project / "functions" / "greet" / "__init__.py").write_text("")

    assert set(_content(bundle_function(project, "greet").path)) == {
        "handler.py",
        "__pycache__/handler.cpython-313.pyc",
    }


def test_layer_has_no_package_metadata_and_no_scripts(project: Path) -> None:
    top = {path.name for path in (bundle_layer(project).path / "python").iterdir()} - {"__pycache__"}

    assert top == {
        "aws_lambda_powertools",
        "crawleruseragents",
        "jmespath",
        "leadscore",
        "ruamel",
        "typing_extensions.py",
        "tzdata",
    }


def test_native_code_is_refused_by_name(project: Path) -> None:
    (project / "functions" / "greet" / "fast.cpython-313-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")

    with pytest.raises(BundlingError, match=r"fast\.cpython-313-x86_64-linux-gnu\.so"):
        bundle_function(project, "greet")
    assert not list((project / ".build").glob("*"))


def test_missing_uv_is_said_in_words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(BundlingError, match="uv is not on the PATH"):
        bundle_layer(project)


def test_failing_uv_is_quoted(project: Path) -> None:
    (project / "uv.lock").write_text("not a lock file")

    with pytest.raises(BundlingError, match=r"(?s)uv export.*failed:.*uv\.lock"):
        bundle_layer(project)


def test_function_without_a_handler_is_named(project: Path) -> None:
    (project / "functions" / "greet" / "handler.py").unlink()

    with pytest.raises(BundlingError, match="`greet` cannot be built"):
        bundle_function(project, "greet")


def test_syntax_error_stops_the_build(project: Path) -> None:
    (project / "functions" / "greet" / "handler.py").write_text("def handler(:\n")

    with pytest.raises(BundlingError, match=r"(?s)cannot be built.*handler\.py"):
        bundle_function(project, "greet")


def test_another_python_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "RUNTIME", (3, 14))

    with pytest.raises(BundlingError, match=r"must be built with Python 3\.14"):
        bundle_function(project, "greet")
