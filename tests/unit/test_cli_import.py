"""`leadscore import`: what is found, how it goes on, what is told of it, and the state machine's runs."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from leadscore.adapters.queues import SqsQueue
from leadscore.archive_lines import Place
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.importing import Counts
from leadscore_cli import import_command
from leadscore_cli.failures import CommandError
from leadscore_cli.import_progress import ProgressFile
from leadscore_cli.import_run import ImportRun, begin_run
from leadscore_cli.import_sources import FoundSource, Prefix, find_files
from leadscore_cli.main import app
from leadscore_cli.outputs import Deployment
from tests.property.archived import as_lines
from tests.unit.test_cli_outputs import CDK_OUTPUTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

NOW = datetime.now(UTC)  # noqa: TID251
MACHINE, BUCKET = "arn:aws:states:eu-west-1:000000000000:stateMachine:import", "acme-archive"


@dataclass
class Machine:
    """Step Functions with one machine, whose executions end as a test says."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    ends_as: str = "SUCCEEDED"
    lots: list[dict[str, Any]] = field(default_factory=list)

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, maxResults) == (MACHINE, 1)
        return {"executions": self.executions[-1:]}

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, Any]:  # noqa: N803, A002
        assert stateMachineArn == MACHINE
        self.executions.append({"executionArn": f"run-{len(self.executions)}", "status": "RUNNING", "input": input})
        return self.executions[-1]

    def redrive_execution(self, *, executionArn: str) -> None:  # noqa: N803
        self.describe_execution(executionArn=executionArn).update(status="RUNNING", redriveStatus="NOT_REDRIVABLE")

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return next(each for each in self.executions if each["executionArn"] == executionArn)

    def list_map_runs(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return {"mapRuns": [{"mapRunArn": f"map of {executionArn}"}]}

    def describe_map_run(self, *, mapRunArn: str) -> dict[str, Any]:  # noqa: N803
        assert mapRunArn.startswith("map of run-")
        return {"itemCounts": {"succeeded": 3, "total": 7}}

    def end(self, status: str) -> None:
        is_over = {"output": json.dumps(self.lots)} if status == "SUCCEEDED" else {"redriveStatus": "REDRIVABLE"}
        self.executions[-1].update(status=status, cause="a lot failed", **is_over)


@dataclass
class FakeTarget:
    """A deployed stage with a queue, a bucket and perhaps the machine."""

    deployment: Deployment
    machine: Machine = field(default_factory=Machine)

    @contextmanager
    def sqs(self) -> Iterator[SQSClient]:
        yield boto3.client("sqs")

    @contextmanager
    def s3(self) -> Iterator[S3Client]:
        yield boto3.client("s3")

    @contextmanager
    def states(self) -> Iterator[Machine]:
        yield self.machine

    def sent(self) -> list[str]:
        """Take what lies in the queue; return the message ids of its events."""
        found: list[str] = []
        queue = self.deployment.events_queue_url
        while batch := boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"])["event"]["messageId"] for message in batch]
        return sorted(found)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTarget]:
    with mock_aws():
        url = boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"]
        names = Deployment.from_cdk("dev", "eu-west-1", CDK_OUTPUTS | {"EventsQueueUrl": url})
        fake = FakeTarget(names)
        monkeypatch.setattr(import_command, "target_of_project", lambda _stage: fake)
        monkeypatch.setattr(import_command, "_LOOK_SECONDS", 0.0)
        yield fake


@pytest.fixture
def deployed(target: FakeTarget) -> FakeTarget:
    """A stage that imports from its bucket by itself."""
    target.deployment = replace(target.deployment, import_machine_arn=MACHINE, import_bucket=BUCKET)
    return target


def run(tmp_path: Path, *arguments: str, stdin: bytes = b"") -> Result:
    options = ["--progress", str(tmp_path / "progress"), "--events-per-second", "100000"]
    environment = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(app, ["import", *arguments, *options], input=stdin, env=environment)


def lines(*numbers: int, days_ago: float = 1) -> bytes:
    at = format_instant(from_datetime(NOW - timedelta(days=days_ago)))
    said = {"type": "track", "event": "Clicked", "userId": "ada", "timestamp": at}
    return as_lines({**said, "messageId": f"m{number:04}"} for number in numbers)


def ids(*numbers: int) -> list[str]:
    return [f"m{number:04}" for number in numbers]


def test_files_and_folders_are_imported_plain_and_gzip(target: FakeTarget, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (folder / "day").mkdir(parents=True)
    (folder / "day" / "1.gz").write_bytes(gzip.compress(lines(1, 2)))
    (folder / "2.ndjson").write_bytes(lines(3))
    (folder / ".DS_Store").write_bytes(b"junk")
    single = tmp_path / "single"
    single.write_bytes(lines(4))
    result = run(tmp_path, str(folder), str(single))
    assert result.exit_code == 0, result.output
    assert target.sent() == ids(1, 2, 3, 4)
    assert "4 events of 3 files" in result.stdout
    assert result.stderr == ""


def test_standard_input_is_imported_and_never_gone_on_with(target: FakeTarget, tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, "-", stdin=gzip.compress(lines(1, 2))).exit_code == 0
        assert target.sent() == ids(1, 2)


def test_what_was_imported_is_passed_over_until_it_changes_or_is_asked_for_anew(
    target: FakeTarget, tmp_path: Path
) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(1, 2))
    run(tmp_path, str(path))
    again = run(tmp_path, str(path))
    assert (target.sent(), again.exit_code) == (ids(1, 2), 0)
    assert "1 files had been imported before" in again.stdout
    assert run(tmp_path, str(path), "--anew").exit_code == 0
    assert target.sent() == ids(1, 2)
    with path.open("ab") as file:
        file.write(lines(3))
    run(tmp_path, str(path))
    assert target.sent() == ids(1, 2, 3)


def test_an_interrupted_import_goes_on_where_it_stopped(
    target: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(lines(*range(25))))
    monkeypatch.setattr(import_command, "batch_size", lambda _pace: 10)
    send_all, sends = SqsQueue.send_all, [0]

    def interrupted(queue: SqsQueue, bodies: Sequence[str]) -> None:
        sends[0] += 1
        if sends[0] == 2:
            raise KeyboardInterrupt
        send_all(queue, bodies)

    with monkeypatch.context() as patch:
        patch.setattr(SqsQueue, "send_all", interrupted)
        result = run(tmp_path, str(path))
    assert result.exit_code != 0
    assert "the same command goes on where it stopped" in result.stderr
    assert target.sent() == ids(*range(10))
    answer = json.loads(run(tmp_path, str(path), "--json").stdout)
    assert answer == {"accepted": 15, "expired": 0, "rejected": {}, "sources": 1, "skipped_sources": 0}
    assert target.sent() == ids(*range(10, 25))


def test_bad_lines_are_told_by_place_and_reason_kept_with_what_they_held_and_end_in_1(
    target: FakeTarget, tmp_path: Path
) -> None:
    path, rejects = tmp_path / "events", tmp_path / "rejects"
    path.write_bytes(lines(1) + b'{"secret\n' + lines(2) + b"\xff\n" + lines(3, days_ago=500))
    result = run(tmp_path, str(path), "--rejects", str(rejects))
    assert (result.exit_code, target.sent()) == (1, ids(1, 2))
    assert f"{path}:2: invalid_json: the line is not JSON" in result.stderr
    assert f"{path}:4: invalid_text" in result.stderr
    assert "secret" not in result.output
    assert "2 lines or files were not imported" in result.stderr
    assert "1 left out: received longer ago than the 400 days" in result.stdout
    kept = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert [(each["source"], each["line"], each["code"], each["text"]) for each in kept] == [
        (str(path), 2, "invalid_json", '{"secret'),
        (str(path), 4, "invalid_text", "\ufffd"),
    ]
    assert rejects.stat().st_mode & 0o077 == 0


def test_of_many_bad_lines_a_few_are_shown_and_all_are_kept(target: FakeTarget, tmp_path: Path) -> None:
    path, rejects = tmp_path / "events", tmp_path / "rejects"
    path.write_bytes(b"{\n" * 50)
    result = run(tmp_path, str(path), "--rejects", str(rejects))
    assert result.stderr.count(": invalid_json: ") == 20
    assert "50 invalid_json" in result.stderr
    assert len(rejects.read_text(encoding="utf-8").splitlines()) == 50


def test_damaged_gzip_is_imported_as_far_as_it_goes_and_told_of_each_time(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(lines(1, 2))[:-3])
    for sent in (ids(1, 2), []):
        result = run(tmp_path, str(path))
        assert (result.exit_code, target.sent()) == (1, sent)
        assert "damaged_file" in result.stderr


def test_a_file_that_cannot_be_read_stops_no_other(
    target: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(lines(1))
    open_path = Path.open

    def refused(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return open_path(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    result = run(tmp_path, str(tmp_path / "a"), str(tmp_path / "b"))
    assert (result.exit_code, target.sent()) == (1, ids(1))
    assert "a:0: unreadable_file: Permission denied" in result.stderr


def test_a_path_that_is_not_there_is_an_error(target: FakeTarget, tmp_path: Path) -> None:
    result = run(tmp_path, str(tmp_path / "gone"))
    assert (result.exit_code, "gone is not there" in result.stderr) == (1, True)


def test_it_waits_while_the_queue_is_full(target: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depths = iter([2001, 2001, 2000])
    monkeypatch.setattr(SqsQueue, "count_waiting", lambda _queue: next(depths))
    path = tmp_path / "events"
    path.write_bytes(lines(1))
    assert run(tmp_path, str(path)).exit_code == 0
    assert list(depths) == []


def test_a_queue_that_fails_is_told_in_words(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(1))
    boto3.client("sqs").delete_queue(QueueUrl=target.deployment.events_queue_url)
    result = run(tmp_path, str(path))
    assert result.exit_code == 1
    assert "the import stopped" in result.stderr
    assert "run it again" in result.stderr


def put_archive(objects: dict[str, bytes]) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=cast(Any, {"LocationConstraint": "eu-central-1"}))
    for key, content in objects.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_without_a_machine_s3_is_read_from_here_and_gone_on_with(target: FakeTarget, tmp_path: Path) -> None:
    put_archive({"old/a.gz": gzip.compress(lines(1, 2)), "old/b": lines(3), "new/c": lines(4)})
    assert run(tmp_path, f"s3://{BUCKET}/old/").exit_code == 0
    assert target.sent() == ids(1, 2, 3)
    assert run(tmp_path, f"s3://{BUCKET}/").exit_code == 0
    assert target.sent() == ids(4)
    boto3.client("s3").put_object(Bucket=BUCKET, Key="old/b", Body=lines(5))
    assert run(tmp_path, f"s3://{BUCKET}/old/").exit_code == 0
    assert target.sent() == ids(5)


def test_a_bucket_that_is_not_there_is_an_error(target: FakeTarget, tmp_path: Path) -> None:
    result = run(tmp_path, "s3://nobody/old/")
    assert result.exit_code == 1
    assert "s3://nobody/old/ cannot be listed" in result.stderr


def ends(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run end when it is looked at for the second time."""
    look, times = ImportRun.look, [0]

    def looked(run_: ImportRun) -> Any:
        times[0] += 1
        if times[0] % 2 == 0:
            machine.end(machine.ends_as)
        return look(run_)

    monkeypatch.setattr(ImportRun, "look", looked)


def test_the_machine_imports_a_prefix_of_its_bucket(
    deployed: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(deployed.machine, monkeypatch)
    lot = {"objects": 100, "counts": {"accepted": 5, "expired": 1, "rejected": {}}}
    deployed.machine.lots = [lot, {**lot, "objects": 20}]
    result = run(tmp_path, f"s3://{BUCKET}/old/")
    assert result.exit_code == 0, result.output
    assert json.loads(deployed.machine.executions[0]["input"]) == {"prefix": "old/"}
    assert "10 events of 120 files or objects" in result.stdout
    assert "2 left out" in result.stdout
    assert deployed.sent() == []


def test_lines_that_the_machine_did_not_take_end_in_1(
    deployed: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(deployed.machine, monkeypatch)
    deployed.machine.lots = [{"objects": 1, "counts": {"accepted": 5, "expired": 0, "rejected": {"invalid_json": 2}}}]
    result = run(tmp_path, f"s3://{BUCKET}/")
    assert result.exit_code == 1
    assert "2 invalid_json" in result.stderr
    assert "leadscore logs importer" in result.stderr


def test_a_run_that_stops_is_gone_on_with_or_begun_anew(
    deployed: FakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(deployed.machine, monkeypatch)
    deployed.machine.ends_as = "FAILED"
    result = run(tmp_path, f"s3://{BUCKET}/old/")
    assert result.exit_code == 1
    assert "the import stopped (FAILED): run it again to go on" in result.stderr
    assert "a lot failed" in result.stderr
    deployed.machine.ends_as = "SUCCEEDED"
    again = run(tmp_path, f"s3://{BUCKET}/old/")
    assert (again.exit_code, len(deployed.machine.executions)) == (0, 1)
    assert "going on with the import that stopped" in again.stderr
    assert run(tmp_path, f"s3://{BUCKET}/old/").exit_code == 0
    assert len(deployed.machine.executions) == 2


@pytest.mark.parametrize("why", ["another prefix", "anew"])
def test_a_run_that_stopped_is_left_alone_where_it_does_not_count(why: str) -> None:
    machine = Machine()
    begin(machine, "old/")
    machine.end("FAILED")
    begun = begin(machine, "new/" if why == "another prefix" else "old/", anew=why == "anew")
    assert (begun.origin, len(machine.executions)) == ("new", 2)


def begin(machine: Machine, prefix: str, *, anew: bool = False) -> ImportRun:
    return begin_run(cast(Any, machine), MACHINE, prefix, anew=anew)


def test_a_run_under_way_is_followed_and_no_other_is_begun_beside_it() -> None:
    machine = Machine()
    begin(machine, "old/")
    followed = begin(machine, "old/", anew=True)
    assert (followed.origin, len(machine.executions)) == ("under way", 1)
    standing = followed.look()
    assert (standing.is_over, standing.objects, standing.all_objects, standing.counts) == (False, 3, 7, Counts())
    with pytest.raises(CommandError, match="another import is under way"):
        begin(machine, "new/")


def test_here_reads_the_machines_bucket_and_others(deployed: FakeTarget, tmp_path: Path) -> None:
    put_archive({"old/a": lines(1)})
    assert run(tmp_path, f"s3://{BUCKET}/old/", "--here").exit_code == 0
    assert (deployed.sent(), deployed.machine.executions) == (ids(1), [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["s3://another/old/"], "--here"),
        ([f"s3://{BUCKET}/a", f"s3://{BUCKET}/b"], "one prefix"),
        ([f"s3://{BUCKET}/a", "--rejects", "r"], "--rejects goes with --here"),
        (["s3:///a"], "names no bucket"),
    ],
)
def test_what_the_machine_cannot_do_is_said(
    deployed: FakeTarget, tmp_path: Path, arguments: list[str], told: str
) -> None:
    result = run(tmp_path, *arguments)
    assert (result.exit_code, deployed.machine.executions) == (1, [])
    assert told in result.stderr


def found(name: str, fingerprint: str | None = "f1") -> FoundSource:
    return FoundSource(name, 10, fingerprint, lambda _offset: io.BytesIO())


def test_progress_is_read_back_but_for_what_a_crash_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "new" / "progress"
    with ProgressFile.open(path, "queue") as noted:
        noted.note(found("a"), Place(10, 2))
        noted.note(found("a"), Place(20, 4))
        noted.note(found("b"), Place(5, 1), done=True)
        noted.note(found("-", None), Place(7, 1))
    whole = path.read_text(encoding="utf-8")
    for cut in range(len(whole.splitlines(keepends=True)[-1])):
        path.write_text(whole[: len(whole) - cut], encoding="utf-8")
        with ProgressFile.open(path, "queue") as noted:
            assert noted.of(found("a")).place == Place(20, 4)
            assert noted.of(found("b")).done == (cut == 0)
    assert path.read_text(encoding="utf-8").count('"source"') == 1


def test_progress_counts_for_the_very_file_and_queue_alone(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with ProgressFile.open(path, "queue") as noted:
        noted.note(found("a"), Place(10, 2))
    with ProgressFile.open(path, "queue") as noted:
        assert noted.of(found("a", "f2")).place == Place()
    with ProgressFile.open(path, "queue", anew=True) as noted:
        assert noted.of(found("a")).place == Place()
    with ProgressFile.open(path, "queue") as noted:
        assert noted.of(found("a")).place == Place(10, 2)
    with ProgressFile.open(path, "another") as noted:
        assert noted.of(found("a")).place == Place()


@pytest.mark.parametrize("content", ['{"a": 1}\n', "[]\n", "notes of mine\n"])
def test_another_kind_of_file_is_not_written_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CommandError, match="no progress of an import"):
        ProgressFile.open(path, "queue")
    assert path.read_text(encoding="utf-8") == content


def test_files_are_found_in_order_and_known_by_what_they_are(tmp_path: Path) -> None:
    for name in ("b", "a/2", "a/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    sources = list(find_files([str(tmp_path)]))
    assert [source.name for source in sources] == [str(tmp_path / name) for name in ("a/1", "a/2", "b")]
    assert {source.size for source in sources} == {4}
    before = sources[0].fingerprint
    os.utime(tmp_path / "a/1", ns=(1, 1))
    assert next(iter(find_files([str(tmp_path)]))).fingerprint != before
    read: list[int] = []
    with closing(sources[2].watched(read.append).open(1)) as stream:
        assert (stream.read(2), stream.read()) == (b"23", b"4")
    assert read == [2, 1]


@pytest.mark.parametrize(
    ("text", "where"),
    [("s3://b/c/d", Prefix("b", "c/d")), ("s3://b", Prefix("b", "")), ("s3.json", None), ("-", None)],
)
def test_a_part_of_a_bucket_is_told_from_a_path(text: str, where: Prefix | None) -> None:
    assert Prefix.parse(text) == where


def test_no_bar_is_drawn_where_nobody_looks(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(1))
    assert run(tmp_path, str(path)).stderr == ""
    assert not sys.stderr.isatty()
