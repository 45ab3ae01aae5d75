"""The README's words are true: its Python runs, and the commands and files that it names exist."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
import segment.analytics  # type: ignore[import-untyped]
from moto import mock_aws
from typer.main import get_command
from typer.testing import CliRunner

from leadscore import parse_ruleset, score_events
from leadscore.core.explaining import explain_score
from leadscore.core.instants import format_instant, from_datetime
from leadscore_cli.main import app
from leadscore_cli.sample_traffic import Fact, worked_example

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (ROOT / "layers" / "scoring" / "SDKS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line.partition("#")[0].split() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]


def blocks(kind: str) -> list[str]:
    return [block for name, block in BLOCKS if name == kind]


def test_there_are_the_three_python_examples() -> None:
    assert len(blocks("python")) == 3


def test_sdk_example_sends_one_event_to_the_named_host(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, object]] = []
    monkeypatch.setattr("segment.analytics.consumer.post", lambda *args, **kwargs: sent.append({"to": args, **kwargs}))
    exec(compile(blocks("python")[0], "README", "exec"), {})  # the page's own words
    segment.analytics.shutdown()
    segment.analytics.default_client = None
    [call] = sent
    assert "https://YOUR_API_HOST" in str(call)
    assert "Trial Started" in str(call)


@pytest.mark.parametrize(("package", "block"), [("segment", 0), ("rudderstack", 1)])
def test_python_pages_send_to_the_named_host(package: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(
        f"{package}.analytics.consumer.post", lambda *args, **kwargs: sent.append({"to": args, **kwargs})
    )
    analytics: Any = import_module(f"{package}.analytics")
    monkeypatch.setattr(analytics, "default_client", None)
    exec(compile(re.findall(r"```python\n(.*?)```", PAGES, flags=re.DOTALL)[block], "SDKS", "exec"), {})
    analytics.shutdown()
    assert "https://YOUR_API_HOST" in str(sent)
    assert "Trial Started" in str(sent)


@pytest.mark.parametrize("line", re.findall(r"^\| `\S+` \| `(.*)` \|$", README, flags=re.MULTILINE))
def test_the_line_of_the_table_is_on_its_page(line: str) -> None:
    page = PAGES.replace('"YOUR_WRITE_KEY"', "KEY").replace('"https://YOUR_API_HOST"', "HOST")
    assert line in page.replace('host + "/v1', 'HOST + "/v1').replace("KEY, host,", "KEY, HOST,")


def test_bus_example_is_accepted_by_a_bus() -> None:
    with mock_aws():
        boto3.client("events").create_event_bus(Name="YOUR_BUS")
        exec(compile(blocks("python")[1], "README", "exec"), {})


def test_python_face_example_holds() -> None:
    exec(compile(blocks("python")[2], "README", "exec"), {})


@pytest.mark.parametrize("line", [line for line in COMMANDS if line and line[0] == "make"], ids=" ".join)
def test_make_targets_exist(line: list[str]) -> None:
    assert re.search(rf"^{line[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line and line[0] == "leadscore"], ids=" ".join)
def test_leadscore_commands_exist(line: list[str]) -> None:
    words = [word for word in line[1:3] if word.isalpha()][
        : 2 if line[1] in {"alerts", "criteria", "keys", "quarantine", "slack"} else 1
    ]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    options = {word for word in line if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", result.output))


def test_every_command_of_the_cli_is_in_the_readme() -> None:
    commands = set(getattr(get_command(app), "commands", {}))
    missing = {name for name in commands if not re.search(rf"\b(leadscore|make) {name}\b", README)}
    assert missing == set()


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https:)([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_explained_score_is_the_worked_example_under_the_default_ruleset() -> None:
    ruleset = parse_ruleset((ROOT / "infra" / "ruleset.yaml").read_text(encoding="utf-8"))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    events = [normalised(number, fact) for number, fact in enumerate(worked_example(now))]
    score = score_events(ruleset, events, now)
    assert score.total == 53
    [shown] = blocks("text")
    assert shown.splitlines() == explain_score(score)


def normalised(number: int, fact: Fact) -> dict[str, object]:
    said: dict[str, object] = {"traits" if fact.kind == "identify" else "properties": fact.content}
    at = format_instant(from_datetime(fact.at))
    named = {"event": fact.name} if fact.name else {}
    return {"messageId": f"m{number}", "type": fact.kind, "timestamp": at, "userId": fact.lead, **said, **named}
