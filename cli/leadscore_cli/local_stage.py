"""Brings the whole app up on the embedded AWS of a state directory, and takes it down again.

Whatever happens, one of two things is true afterwards: the stack answers and `outputs.json` describes it, or what
this call started is gone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import ClientError

from leadscore_cli.api_client import ApiClient
from leadscore_cli.aws import LOCAL_ACCOUNT, LOCAL_REGION, local_environment, local_session
from leadscore_cli.cdk import CdkCommand, ensure_cdk, tool_path
from leadscore_cli.emulator import Emulator, start_emulator, stop_emulator
from leadscore_cli.emulator_process import DEPLOYED_API_FILE
from leadscore_cli.failures import CommandError
from leadscore_cli.locks import one_at_a_time
from leadscore_cli.log_lines import read_log
from leadscore_cli.outputs import Deployment, LocalOutputs, read_cdk_outputs
from leadscore_cli.write_keys import WriteKeyStore

if TYPE_CHECKING:
    import boto3

LOCAL_STAGE = "local"
_ANSWER_SECONDS = 45.0
_SHOWN_LOG_LINES = 20
type Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LocalStage:
    """The local stage of one project in one state directory, which it creates, owns and removes.

    One that does not outlive this process ends with it, also when it is killed. `context` holds `name=value` pairs for
    the CDK app. That its emulator never `rests` is for the benchmark of latency alone: see `emulator_process`.
    """

    project: Path
    directory: Path
    report: Report
    outlives_this_process: bool = True
    context: tuple[str, ...] = ()
    rests: bool = True

    def is_up(self) -> bool:
        """Return whether an emulator lives in the state directory."""
        return Emulator.of(self.directory) is not None

    def up(self) -> LocalOutputs:
        """Start what is not running, deploy the app as it is now, and return once the stack answers.

        An emulator that lives already is kept, with its data and its write key.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(self.directory.parent, self._say_waiting):
            emulator = Emulator.of(self.directory)
            if emulator is not None:
                return self._deploy(emulator)
            self._remove()
            self.directory.mkdir(mode=0o700)
            try:
                return self._start_and_deploy()
            except BaseException:
                stop_emulator(self.directory)
                self._remove()
                raise

    def down(self) -> bool:
        """End the emulator with all that it started and remove the directory; False when there was nothing."""
        if not self.directory.exists():
            return False
        with one_at_a_time(self.directory.parent, self._say_waiting):
            stop_emulator(self.directory)
            self._remove()
        return True

    def _start_and_deploy(self) -> LocalOutputs:
        self.report("starting the local AWS")
        emulator = start_emulator(self.directory, outlives_this_process=self.outlives_this_process, rests=self.rests)
        return self._deploy(emulator)

    def _deploy(self, emulator: Emulator) -> LocalOutputs:
        ensure_cdk(self.project)
        cdk = CdkCommand(self.project, self._environment(emulator), self.directory)
        session = local_session()
        self.report("synthesising the app")
        with ThreadPoolExecutor(max_workers=2) as pool:
            assembly = pool.submit(self._synthesise, cdk, emulator)
            ready = pool.submit(self._bootstrap, cdk, session, emulator)
            ready.result()
            assembly.result()
        self.report("deploying the app")
        cdk_outputs = self.directory / "cdk-outputs.json"
        cdk.run(
            "deploy",
            "--all",
            f"--app={self._assembly}",
            f"--outputs-file={cdk_outputs}",
            "--require-approval=never",
            "--progress=events",
        )
        deployment = Deployment.from_cdk(LOCAL_STAGE, LOCAL_REGION, read_cdk_outputs(cdk_outputs))
        return self._open(emulator, session, deployment.at(emulator.api))

    def _open(self, emulator: Emulator, session: boto3.Session, deployment: Deployment) -> LocalOutputs:
        """Let the world in: the front door, a write key, and the file that names them once they work."""
        (self.directory / DEPLOYED_API_FILE).write_text(deployment.api_id, encoding="ascii")
        before = LocalOutputs.load(self.directory)
        ssm = session.client("ssm", endpoint_url=emulator.endpoint_url, config=Config(proxies={}))
        try:
            known = before.write_key if before else None
            write_key = WriteKeyStore(ssm, deployment.write_keys_parameter).ensure(known)
        finally:
            ssm.close()
        outputs = LocalOutputs(
            deployment=deployment,
            endpoint_url=emulator.endpoint_url,
            pid=emulator.pid,
            write_key=write_key,
        )
        self.report("waiting for the stack to answer")
        problem = wait_until_it_answers(outputs, session)
        if problem is not None:
            raise CommandError(f"the stack is deployed and does not answer: {problem}", _log_tail(outputs, session))
        outputs.save(self.directory)
        return outputs

    def _synthesise(self, cdk: CdkCommand, emulator: Emulator) -> None:
        told = ("stage=local", f"feedback_url={emulator.api}", *self.context)
        pairs = [f"--context={pair}" for pair in told]
        cdk.run("synth", "--quiet", *pairs, f"--output={self._assembly}")

    def _bootstrap(self, cdk: CdkCommand, session: boto3.Session, emulator: Emulator) -> None:
        if not _is_bootstrapped(session, emulator):
            cdk.run("bootstrap", f"aws://{LOCAL_ACCOUNT}/{LOCAL_REGION}", cwd=self.directory)

    @property
    def _assembly(self) -> Path:
        return self.directory / "cdk.out"

    def _environment(self, emulator: Emulator) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        scratch = self.directory / "tmp"
        return {
            **kept,
            **local_environment(),
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_HOME": str(scratch / "cdk-home"),
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PATH": tool_path(self.project),
            "TMPDIR": str(scratch),
        }

    def _remove(self) -> None:
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def _say_waiting(self) -> None:
        self.report("waiting for another leadscore command that is at work here")


def wait_until_it_answers(outputs: LocalOutputs, session: boto3.Session) -> CommandError | None:
    """Return None once the deployed stack takes events and answers queries, or at the deadline its last refusal."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    deployment = outputs.deployment
    with ApiClient(deployment.api, deployment.region, session.get_credentials()) as api:
        while True:
            try:
                api.leads(limit=1)
                api.send(outputs.write_key, [])
            except CommandError as problem:
                if time.monotonic() > deadline:
                    return problem
                time.sleep(0.2)
            else:
                return None


def _log_tail(outputs: LocalOutputs, session: boto3.Session) -> str:
    logs = session.client("logs", endpoint_url=outputs.endpoint_url, config=Config(proxies={}))
    try:
        lines = read_log(logs, outputs.deployment.log_groups, since=0)
    finally:
        logs.close()
    return "\n".join(f"{line.function}: {line.text}" for line in lines[-_SHOWN_LOG_LINES:])


def _is_bootstrapped(session: boto3.Session, emulator: Emulator) -> bool:
    stacks = session.client("cloudformation", endpoint_url=emulator.endpoint_url, config=Config(proxies={}))
    try:
        status = stacks.describe_stacks(StackName="CDKToolkit")["Stacks"][0]["StackStatus"]
    except ClientError:
        return False
    finally:
        stacks.close()
    return status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
