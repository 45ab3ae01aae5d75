"""The local stage keeps its promises: it works as AWS would, twice over, beside others, and leaves nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.credentials import Credentials

from leadscore_cli.api_client import ApiClient, ApiError
from leadscore_cli.aws import local_session
from leadscore_cli.emulator import Emulator, start_emulator
from leadscore_cli.emulator_process import PLACE_FILE
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.locks import is_held
from leadscore_cli.outputs import OUTPUTS_FILE
from leadscore_cli.project import find_project
from leadscore_cli.write_keys import fingerprint
from tests.e2e.deployed import Stack, eventually


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def get(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture
def reader_user(stack: Stack) -> Iterator[Credentials]:
    """A user who may read leads and nothing else."""
    iam, name = stack.clients.iam, "leads-reader"
    names = stack.names
    iam.create_user(UserName=name)
    resource = f"arn:aws:execute-api:{names.region}:000000000000:{names.api_id}/v1/GET/leads"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="read")
    iam.delete_user(UserName=name)


def test_outputs_name_what_is_deployed(stack: Stack) -> None:
    names, clients = stack.names, stack.clients
    saved = json.loads((stack.stage.directory / OUTPUTS_FILE).read_text())
    emulator = Emulator.of(stack.stage.directory)

    assert emulator is not None
    assert (saved["pid"], saved["endpoint_url"]) == (emulator.pid, emulator.endpoint_url)
    assert saved["api"] == emulator.api == names.api
    assert clients.dynamodb.describe_table(TableName=saved["table"])["Table"]["TableStatus"] == "ACTIVE"
    queues = [saved[f"{queue}_url"] for queue in ("events_queue", "events_dlq", "changes_queue", "changes_dlq")]
    arns = {
        clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for url in queues
    }
    assert len(arns) == 4
    assert clients.sns.get_topic_attributes(TopicArn=saved["alerts_topic_arn"])["Attributes"]["TopicArn"]
    assert clients.events.describe_event_bus(Name=saved["bus"])["Name"]
    assert json.loads(clients.ssm.get_parameter(Name=saved["ruleset_parameter"])["Parameter"]["Value"])["tiers"]
    assert set(saved["functions"]) == set(saved["log_groups"]) >= {"ingest", "score", "notify", "api"}


def test_only_the_hash_of_the_write_key_is_kept(stack: Stack) -> None:
    stored = stack.clients.ssm.get_parameter(Name=stack.names.write_keys_parameter)["Parameter"]["Value"]

    [entry] = json.loads(stored)
    assert entry.pop("created")
    assert entry == {"source": "default", "sha256": fingerprint(stack.outputs.write_key)}
    assert len(stack.outputs.write_key) == 32


def test_a_gzip_body_is_inflated_as_a_rest_api_does(stack: Stack) -> None:
    event = {"type": "page", "userId": "front-door", "messageId": "front-door-1", "properties": {"path": "/docs"}}
    body = gzip.compress(json.dumps({"batch": [event], "writeKey": stack.outputs.write_key}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    status, answer = post(f"{stack.names.api}/batch", body, headers)

    assert (status, answer["success"], answer.get("rejected", [])) == (200, True, [])


def test_gzip_without_any_header_arrives_as_its_bytes(stack: Stack) -> None:
    body = gzip.compress(json.dumps({"batch": [], "writeKey": stack.outputs.write_key}).encode())

    # urllib would name a type of its own.
    status, answer = post(f"{stack.names.api}/batch/", body, {"Content-Type": ""})

    assert (status, answer["success"]) == (200, True)


def test_the_settings_that_browser_sdks_load_lead_back_to_the_front_door(stack: Stack) -> None:
    settings = get(f"{stack.names.api}/projects/{stack.outputs.write_key}/settings")["integrations"]["Segment.io"]
    source = get(f"{stack.names.api}/sourceConfig/?writeKey={stack.outputs.write_key}")["source"]

    assert f"{settings['protocol']}://{settings['apiHost']}" == stack.names.api
    assert settings["apiKey"] == stack.outputs.write_key
    assert source["enabled"] is True


def test_the_beacon_of_rudderstack_has_a_stage_of_its_own(stack: Stack) -> None:
    url = f"{stack.names.api.removesuffix('/v1')}/beacon/v1/batch?writeKey={stack.outputs.write_key}"

    status, answer = post(url, b'{"batch": []}', {"Content-Type": "text/plain"})

    assert (status, answer["success"]) == (200, True)


@pytest.mark.parametrize(("path", "status"), [("leads", 401), ("leads/somebody", 401), ("no-such-path", 404)])
def test_reading_without_a_signature_is_refused_in_the_form_that_sdks_read(
    stack: Stack, path: str, status: int
) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"{stack.names.api}/{path}", timeout=30)
    with refused.value as answer:
        body = json.loads(answer.read())
    assert answer.code == status
    assert body["code"]
    assert body["message"]


def test_reading_with_a_signature_that_nobody_has_is_refused(stack: Stack) -> None:
    with (
        ApiClient(stack.names.api, stack.names.region, Credentials("unknown", "unknown")) as stranger,
        pytest.raises(ApiError) as refused,
    ):
        stranger.leads()
    assert refused.value.status == 403
    assert refused.value.code != "unknown"


def test_a_user_reads_what_its_policy_allows_and_no_more(stack: Stack, reader_user: Credentials) -> None:
    with ApiClient(stack.names.api, stack.names.region, reader_user) as reader:
        assert reader.leads(tier="hot", limit=1)["at"]
        with pytest.raises(ApiError, match="403"):
            reader.lead("front-door")


def test_a_signature_by_another_secret_is_refused(stack: Stack, reader_user: Credentials) -> None:
    forged = Credentials(reader_user.access_key, "another-secret")
    with ApiClient(stack.names.api, stack.names.region, forged) as reader, pytest.raises(ApiError, match="403"):
        reader.leads()


def test_a_second_up_keeps_the_emulator_the_key_and_the_data(stack: Stack) -> None:
    stack.clients.ssm.put_parameter(Name="/kept", Value="yes", Type="String")

    again = stack.stage.up()

    assert again == stack.outputs
    assert stack.clients.ssm.get_parameter(Name="/kept")["Parameter"]["Value"] == "yes"
    assert "no changes" in (stack.stage.directory / "cdk-deploy.log").read_text()


def test_down_leaves_nothing_and_disturbs_no_other_emulator(stack: Stack, tmp_path: Path) -> None:
    stage = LocalStage(find_project(), tmp_path / "state", print)
    stage.directory.mkdir()
    emulator = start_emulator(stage.directory)
    worker = run_a_worker(emulator)
    assert is_alive(worker)

    assert stage.down()

    eventually(lambda: not is_alive(worker), timeout_seconds=10)
    assert not is_alive(emulator.pid)
    assert list(tmp_path.iterdir()) == []
    assert not stage.down()
    assert stack.api.leads(limit=1)["at"]


def test_an_emulator_that_is_tied_to_a_process_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from leadscore_cli.emulator import start_emulator;"
        "print(start_emulator(Path(sys.argv[1]), outlives_this_process=False).pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()

    eventually(lambda: not is_held(tmp_path / PLACE_FILE), timeout_seconds=10)


def test_a_failed_up_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    project = tmp_path / "broken"
    installed = project / "node_modules"
    installed.mkdir(parents=True)
    (installed / ".bin").symlink_to(find_project() / "node_modules" / ".bin")
    for lock in (project / "package-lock.json", installed / ".package-lock.json"):
        lock.touch()
    (project / "cdk.json").write_text('{"app": "echo this app is broken; exit 1"}')
    stage = LocalStage(project, project / ".local", print)

    with pytest.raises(CommandError, match="cdk synth failed") as failure:
        stage.up()

    assert "this app is broken" in failure.value.detail
    assert not stage.directory.exists()


def run_a_worker(emulator: Emulator) -> int:
    """Invoke a function and return the pid of the process that ran it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("index.py", "import os\ndef handler(event, context):\n    return os.getpid()\n")
    session = local_session()
    with (
        closing(session.client("iam", endpoint_url=emulator.endpoint_url, config=Config(proxies={}))) as iam,
        closing(session.client("lambda", endpoint_url=emulator.endpoint_url, config=Config(proxies={}))) as functions,
    ):
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        functions.create_function(
            FunctionName="worker",
            Runtime="python3.13",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": archive.getvalue()},
        )
        answer = functions.invoke(FunctionName="worker")
        with answer["Payload"] as payload:
            return int(payload.read())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # where there is one, it tells the dead that nobody has buried
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
