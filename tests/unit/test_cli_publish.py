"""`leadscore criteria push`, `history` and `rollback`: what is shown, asked, published and followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leadscore import Ruleset, parse_ruleset
from leadscore.adapters.publications import DynamoLedger
from leadscore.usecases.rebuilding import Segment
from leadscore_cli import publish_commands
from leadscore_cli.api_client import ApiError
from leadscore_cli.main import app
from leadscore_cli.outputs import Deployment
from leadscore_cli.rebuild_run import Standing
from leadscore_cli.terminal import out
from tests.unit.test_cli_outputs import CDK_OUTPUTS

EXECUTION = "arn:aws:states:us-east-1:1:execution:rebuild:publication-2-x"


def ruleset(points: int) -> Ruleset:
    criterion = {"id": "a", "group": "fit", "traits": {"plan": ["pro"]}, "points": points}
    return parse_ruleset({"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": [criterion]})


OLD, NEW = ruleset(5), ruleset(9)


def entry(number: int, version: str, **more: object) -> dict[str, Any]:
    told = {"number": number, "version": version, "replaces": OLD.version, "at": "2026-03-01T12:00:00.000Z"}
    by = {"by": "arn:aws:iam::111122223333:user/kim", "why": "more for a plan", "kind": "push", "status": "published"}
    return {**told, **by, **more}


@dataclass
class FakeStage:
    """A deployed stage: its API, its history, and a re-score that ends as it is told to."""

    active: str = OLD.version
    entries: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    refusal: ApiError | None = None
    compared: list[tuple[str, str, int | None]] = field(default_factory=list)
    status: str = "SUCCEEDED"
    failed: int = 0
    kept: dict[str, str] = field(default_factory=lambda: {OLD.version: OLD.document})
    former: list[str] = field(default_factory=list)
    deployment: Deployment = field(default_factory=lambda: Deployment.from_cdk("local", "us-east-1", CDK_OUTPUTS))

    @contextmanager
    def api(self) -> Iterator[FakeStage]:
        yield self

    @contextmanager
    def states(self) -> Iterator[FakeStage]:
        yield self

    @contextmanager
    def ssm(self) -> Iterator[FakeStage]:
        yield self

    @contextmanager
    def dynamodb(self, _connections: int) -> Iterator[FakeStage]:
        yield self

    def describe_table(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803
        assert TableName == self.deployment.table
        return {"Table": {"ItemCount": 300}}

    def publications(self, *, limit: int = 20) -> dict[str, Any]:
        since = "2026-03-01T12:00:00.000Z"
        return {
            "active": {"version": self.active, "since": since},
            "publications": self.entries[:limit],
            "next_cursor": "3" if len(self.entries) > limit else None,
        }

    def publish(self, document: str, why: str, replaces: str) -> dict[str, Any]:
        return self._answer("publish", json.loads(document), why, replaces)

    def roll_back(self, version: str, why: str, replaces: str | None) -> dict[str, Any]:
        return self._answer("roll back", version, why, replaces)

    def _answer(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal
        return {"publication": entry(2, NEW.version), "rescore": EXECUTION}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> FakeStage:
    fake = FakeStage()

    def compare(target: object, old: Ruleset, new: Ruleset, sample: int | None) -> tuple[str, str]:
        fake.compared.append((old.version, new.version, sample))
        return old.version, new.version

    def follow(run: str, items: int) -> Standing:
        assert (run, items) == (EXECUTION, 300)
        counts = {"failed": fake.failed} if fake.failed else {}
        is_done = fake.status == "SUCCEEDED"
        done = Segment(0, 1, done=is_done, leads=7, written=7, ruleset=NEW.version, counts=counts)
        return Standing(fake.status, (done,), "a call failed")

    def kept(_ledger: object, version: str) -> list[str]:
        return [document for known, document in fake.kept.items() if known.startswith(version)]

    monkeypatch.setattr(publish_commands, "target_of_project", lambda _stage: fake)
    monkeypatch.setattr(publish_commands, "read_active", lambda _target: OLD)
    monkeypatch.setattr(publish_commands, "compare_on_stage", compare)
    monkeypatch.setattr(publish_commands, "print_report", lambda done, _movers: out.print(f"compared {done}"))
    monkeypatch.setattr(publish_commands, "try_past", lambda _target, done: f"past of {done}")
    monkeypatch.setattr(publish_commands, "print_past", out.print)
    monkeypatch.setattr(publish_commands, "open_run", lambda _states, execution: execution)
    monkeypatch.setattr(publish_commands, "follow_run", follow)
    monkeypatch.setattr(publish_commands, "published_documents", lambda _ssm, _name: fake.former)
    monkeypatch.setattr(DynamoLedger, "find_documents", kept)
    return fake


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "ruleset.json"
    path.write_text(NEW.document)
    return str(path)


def run(*arguments: str, answer: str | None = None) -> Result:
    environment = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(app, ["criteria", *arguments], input=answer, env=environment)


def test_a_push_shows_what_it_would_change_asks_and_publishes_what_was_shown(stage: FakeStage, file: str) -> None:
    result = run("push", file, "--why", "more for a plan", answer="y\n")
    assert result.exit_code == 0, result.output
    assert stage.compared == [(OLD.version, NEW.version, None)]
    question = result.output.index(f"Publish {NEW.version} in place of {OLD.version}?")
    assert result.output.index("compared") < result.output.index("past of") < question
    assert stage.asked == [("publish", json.loads(NEW.document), "more for a plan", OLD.version)]
    assert "7 leads verified, 7 of them differed" in result.output


def test_without_a_yes_nothing_is_published(stage: FakeStage, file: str) -> None:
    assert run("push", file, answer="n\n").exit_code == 1
    assert run("rollback", OLD.version, answer="\n").exit_code == 1
    assert stage.asked == []


def test_a_push_that_is_told_yes_asks_nothing(stage: FakeStage, file: str) -> None:
    sampled = run("push", file, "--yes", "--sample", "50")
    assert (sampled.exit_code, "past of" in sampled.output) == (0, False)
    assert stage.compared == [(OLD.version, NEW.version, 50)]
    assert run("push", file, "--yes", "--no-dry-run").exit_code == 0
    assert len(stage.compared) == 1
    assert len(stage.asked) == 2


def test_what_is_active_already_is_completed_without_a_question(stage: FakeStage, file: str) -> None:
    stage.active = NEW.version
    result = run("push", file)
    assert result.exit_code == 0, result.output
    assert f"{NEW.version} is active already" in result.output
    assert (stage.compared, len(stage.asked)) == ([], 1)


def test_what_is_no_ruleset_any_more_is_replaced_without_a_comparison(stage: FakeStage, file: str) -> None:
    stage.active = ""
    result = run("push", file, answer="y\n")
    assert result.exit_code == 0, result.output
    assert "in place of what cannot be read?" in result.output
    assert (stage.compared, stage.asked[0][3]) == ([], "")


def test_what_was_published_while_it_was_compared_is_not_replaced(stage: FakeStage, file: str) -> None:
    stage.active = "0" * 12
    result = run("push", file, "--yes")
    assert (result.exit_code, stage.asked) == (1, [])
    assert "another ruleset was published at this moment" in result.output


def test_a_bad_file_is_told_with_its_problems_before_anything_is_asked(stage: FakeStage, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("tiers: []")
    result = run("push", str(tmp_path / "bad.yaml"), "--yes")
    assert (result.exit_code, stage.asked) == (1, [])
    assert "tiers" in result.output


@pytest.mark.parametrize(("status", "is_told"), [(409, False), (500, True), (504, True)])
def test_what_failed_on_the_other_side_says_how_it_is_completed(
    stage: FakeStage, file: str, status: int, is_told: bool
) -> None:
    stage.refusal = ApiError(status, "a_code", "a message")
    result = run("push", file, "--yes")
    assert result.exit_code == 1
    assert f"{status} a_code" in result.output
    assert ("the same command again completes what was begun" in result.output) == is_told


def test_a_re_score_that_stops_is_told_apart_from_the_publication(stage: FakeStage, file: str) -> None:
    stage.status = "FAILED"
    result = run("push", file, "--yes")
    assert result.exit_code == 1
    assert "it is published, but the re-score stopped (FAILED): `leadscore rebuild --all --outdated`" in result.output


@pytest.mark.parametrize("arguments", ["push", "rollback"])
def test_leads_that_were_not_scored_again_end_in_1(stage: FakeStage, file: str, arguments: str) -> None:
    stage.failed = 3
    result = run(arguments, file if arguments == "push" else OLD.version, "--yes")
    assert result.exit_code == 1
    assert "it is published, but 3 lead(s) were not scored again: `leadscore rebuild --all --outdated`" in result.output
    assert "`leadscore logs rebuild` says why" in result.output


def test_a_rollback_compares_asks_and_names_the_version_in_full(stage: FakeStage) -> None:
    result = run("rollback", OLD.version[:6], "--why", "too many", answer="y\n")
    assert result.exit_code == 0, result.output
    assert f"Go back to {OLD.version} from {stage.active}?" in result.output
    assert stage.compared == [(OLD.version, OLD.version, None)]
    assert stage.asked == [("roll back", OLD.version, "too many", OLD.version)]


def test_a_rollback_to_what_only_the_parameter_remembers(stage: FakeStage) -> None:
    stage.former = [NEW.document, "no ruleset", OLD.document]
    assert run("rollback", NEW.version[:8], "--yes").exit_code == 0
    assert stage.asked[0][1] == NEW.version


@pytest.mark.parametrize(("begins", "reason"), [("ffff", "no published ruleset"), ("", "several versions begin so")])
def test_a_rollback_to_none_or_to_several_is_refused(stage: FakeStage, begins: str, reason: str) -> None:
    stage.kept[NEW.version] = NEW.document
    result = run("rollback", begins, "--yes")
    assert (result.exit_code, stage.asked) == (1, [])
    assert reason in result.output


def test_the_history_names_who_when_and_why_and_what_is_active(stage: FakeStage) -> None:
    stage.active = NEW.version
    stage.entries = [
        entry(4, NEW.version, why="[bold] words"),
        entry(3, "0" * 12, status="given up"),
        entry(2, NEW.version, kind="rollback", why=""),
        entry(1, OLD.version, kind="found", by="", why=""),
    ]
    result = run("history", "--limit", "3")
    assert result.exit_code == 0, result.output
    told = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert told[:4] == [
        "Version When By Why",
        f"active {NEW.version} 2026-03-01T12:00:00.000Z kim [bold] words",
        f"{'0' * 12} 2026-03-01T12:00:00.000Z kim more for a plan (given up)",
        f"{NEW.version} 2026-03-01T12:00:00.000Z kim rollback",
    ]
    assert told[4] == "there are older ones: --limit"
    assert json.loads(run("history", "--json").stdout)["active"]["version"] == NEW.version


def test_the_history_says_what_is_active_where_no_push_made_it(stage: FakeStage) -> None:
    result = run("history")
    assert f"active: {OLD.version} since 2026-03-01T12:00:00.000Z, not published by a push" in result.stdout
