"""Each command asks its target once and tells what it answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from typer.testing import CliRunner, Result

from leadscore_cli import main
from leadscore_cli.api_client import ApiError, BatchAnswer
from leadscore_cli.outputs import Deployment
from tests.unit.test_cli_outputs import CDK_OUTPUTS


@dataclass
class Api:
    """An API that answers what a test says, and keeps what it was asked."""

    answers: list[BatchAnswer | ApiError] = field(default_factory=list)
    sent: list[tuple[str, list[Mapping[str, object]]]] = field(default_factory=list)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, write_key: str, batch: Sequence[Mapping[str, object]]) -> BatchAnswer:
        self.sent.append((write_key, list(batch)))
        answer = self.answers.pop(0) if self.answers else BatchAnswer(success=True)
        if isinstance(answer, ApiError):
            raise answer
        return answer


@dataclass(frozen=True)
class FakeTarget:
    """A target whose API is the fake one; its logs hold one line a function."""

    service: Api
    deployment: Deployment
    write_key: str | None = "local-key"

    def api(self) -> Api:
        return self.service

    @contextmanager
    def logs(self) -> Iterator[FakeTarget]:
        yield self

    def get_paginator(self, _operation: str) -> FakeTarget:
        return self

    def paginate(self, *, logGroupName: str, startTime: int) -> list[dict[str, object]]:  # noqa: N803
        line = {"timestamp": startTime, "message": f"[from] {logGroupName}", "logStreamName": "stream"}
        return [{"events": [line]}]


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    outputs = {**CDK_OUTPUTS, "ScoreLogGroup": "/logs/score"}
    fake = FakeTarget(Api(), Deployment.from_cdk("local", "us-east-1", outputs))
    monkeypatch.setattr(main, "_target", lambda _stage: fake)
    return fake


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main.app, arguments, input=stdin, env={"COLUMNS": "200", "TERM": "dumb"})


def test_an_event_from_options_is_a_whole_segment_event(target: FakeTarget) -> None:
    options = ["--user", "ada", "-p", "plan=pro", "-p", "seats=3", "-t", "title=CEO"]
    result = run("send", "track", "Trial Started", *options)

    assert result.exit_code == 0, result.output
    ((key, [event]),) = target.service.sent
    assert key == "local-key"
    assert event["messageId"]
    assert event["timestamp"]
    wanted = {"type": "track", "event": "Trial Started", "userId": "ada", "traits": {"title": "CEO"}}
    assert wanted.items() <= event.items()
    assert event["properties"] == {"plan": "pro", "seats": 3}
    assert "anonymousId" not in event


def test_a_page_has_a_name_and_no_event(target: FakeTarget) -> None:
    run("send", "page", "Pricing", "--anonymous", "visitor")

    ((_, [event]),) = target.service.sent
    assert event["name"] == "Pricing"
    assert "event" not in event
    assert "properties" not in event


def test_two_sends_are_two_events(target: FakeTarget) -> None:
    run("send", "track", "Trial Started", "--user", "ada")
    run("send", "track", "Trial Started", "--user", "ada")

    first, second = (batch[0]["messageId"] for _, batch in target.service.sent)
    assert first != second


def test_lines_from_standard_input_go_as_they_are(target: FakeTarget) -> None:
    events = [{"type": "page", "userId": str(i)} for i in range(101)]

    result = run("send", stdin="\n".join(map(json.dumps, events)))

    assert [len(batch) for _, batch in target.service.sent] == [100, 1]
    assert [event for _, batch in target.service.sent for event in batch] == events
    assert "101 accepted" in result.output


def test_a_rejected_line_is_named_and_the_others_count(target: FakeTarget) -> None:
    rejected = {"index": 1, "code": "missing_id", "message": "no userId and no anonymousId"}
    target.service.answers.append(BatchAnswer(success=True, rejected=[rejected]))  # type: ignore[list-item]

    result = run("send", stdin='{"a": 1}\n\n{"b": 2}\n')

    assert result.exit_code == 1
    assert "1 accepted" in result.output
    assert "line 3: missing_id: no userId and no anonymousId" in result.output


def test_a_deployed_stage_needs_its_write_key(target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_target", lambda _stage: replace(target, write_key=None))

    refused = run("send", "page", "--stage", "dev", "--user", "ada")
    sent = run("send", "page", "--stage", "dev", "--user", "ada", "--write-key", "mine")

    assert refused.exit_code == 1
    assert "--write-key" in refused.output
    assert sent.exit_code == 0
    assert [key for key, _ in target.service.sent] == ["mine"]


def test_a_refusal_of_the_api_is_told_in_words_without_a_traceback(target: FakeTarget) -> None:
    target.service.answers.append(ApiError(401, "unauthorised", "the write key is not known"))

    result = run("send", "page", "--user", "ada")

    assert result.exit_code == 1
    assert "401 unauthorised: the write key is not known" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("arguments", "functions"), [((), {"ingest", "score"}), (("score",), {"score"})])
def test_logs_are_of_all_functions_or_of_one(
    target: FakeTarget, arguments: tuple[str, ...], functions: set[str]
) -> None:
    result = run("logs", *arguments)

    assert {line.split()[2] for line in result.output.splitlines()} == functions
    assert all("[from] /logs/" in line for line in result.output.splitlines())


@pytest.mark.parametrize(("arguments", "told"), [(("cool",), "ingest, score"), (("--since", "ever"), "--since")])
def test_logs_that_are_not_there_are_refused_in_words(
    target: FakeTarget, arguments: tuple[str, ...], told: str
) -> None:
    result = run("logs", *arguments)

    assert result.exit_code == 1
    assert told in result.output


def test_the_local_stage_is_not_deployed_to_an_account() -> None:
    result = run("deploy", "--stage", "local")

    assert result.exit_code == 1
    assert "leadscore up" in result.output
