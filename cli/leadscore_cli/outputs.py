"""What a deployed stack is called: the CDK outputs as one typed value, and the local stage's `outputs.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from leadscore_cli.failures import CommandError

OUTPUTS_FILE = "outputs.json"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The names of one deployed stage; `api` is the base URL ending in /v1.

    `functions` and `log_groups` are keyed by the short name of the function (`ingest`, `score`, ...).
    """

    stage: str
    region: str
    api: str
    api_id: str
    table: str
    events_queue_url: str
    events_dlq_url: str
    changes_queue_url: str
    changes_dlq_url: str
    alerts_topic_arn: str
    ruleset_parameter: str
    write_keys_parameter: str
    bus: str
    rebuild_machine_arn: str
    insights_machine_arn: str
    event_retention_days: int
    functions: Mapping[str, str]
    log_groups: Mapping[str, str]
    # Where the stage imports from S3 by itself.
    import_machine_arn: str | None = None
    import_bucket: str | None = None
    # The addresses of each Slack route's queue and of its dead-letter queue.
    slack_queues: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def from_cdk(cls, stage: str, region: str, outputs: Mapping[str, str]) -> Self:
        """Return the deployment that CDK outputs describe; CommandError naming the first output that is missing."""
        try:
            return cls(
                stage=stage,
                region=region,
                api=outputs["ApiUrl"].rstrip("/"),
                api_id=outputs["ApiId"],
                table=outputs["TableName"],
                events_queue_url=outputs["EventsQueueUrl"],
                events_dlq_url=outputs["EventsDlqUrl"],
                changes_queue_url=outputs["ChangesQueueUrl"],
                changes_dlq_url=outputs["ChangesDlqUrl"],
                alerts_topic_arn=outputs["AlertsTopicArn"],
                ruleset_parameter=outputs["RulesetParameter"],
                write_keys_parameter=outputs["WriteKeysParameter"],
                bus=outputs["BusName"],
                rebuild_machine_arn=outputs["RebuildMachineArn"],
                insights_machine_arn=outputs["InsightsMachineArn"],
                event_retention_days=int(outputs["EventRetentionDays"]),
                functions=_by_function(outputs, "Function"),
                log_groups=_by_function(outputs, "LogGroup"),
                import_machine_arn=outputs.get("ImportMachineArn"),
                import_bucket=outputs.get("ImportBucket"),
                slack_queues=json.loads(outputs.get("SlackQueues", "{}")),
            )
        except KeyError as missing:
            raise CommandError(f"the stage {stage} has no output {missing}: deploy it first") from missing

    def at(self, api: str) -> Self:
        """Return the same deployment, reached at another base URL."""
        return replace(self, api=api)


@dataclass(frozen=True, slots=True)
class LocalOutputs:
    """A deployment on the emulator: with its endpoint, the emulator's pid and a write key to send events with."""

    deployment: Deployment
    endpoint_url: str
    pid: int
    write_key: str

    def save(self, directory: Path) -> None:
        """Write `outputs.json`, whole or not at all: one flat object, which others may rely on."""
        own = {"write_key": self.write_key, "endpoint_url": self.endpoint_url, "pid": self.pid}
        target = directory / OUTPUTS_FILE
        draft = target.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({**own, **asdict(self.deployment)}, indent=2) + "\n", encoding="utf-8")
        draft.replace(target)

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Return what `outputs.json` holds, or None when there is none or an older version wrote it."""
        try:
            fields = json.loads((directory / OUTPUTS_FILE).read_text(encoding="utf-8"))
            own = {name: fields.pop(name) for name in ("write_key", "endpoint_url", "pid")}
            return cls(deployment=Deployment(**fields), **own)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def read_cdk_outputs(path: Path) -> dict[str, str]:
    """Return the outputs of all stacks in the file that `cdk deploy --outputs-file` wrote."""
    merged: dict[str, str] = {}
    for outputs in json.loads(path.read_text(encoding="utf-8")).values():
        merged.update(outputs)
    return merged


def _by_function(outputs: Mapping[str, str], suffix: str) -> dict[str, str]:
    names = (key for key in outputs if key.endswith(suffix))
    return {key.removesuffix(suffix).lower(): outputs[key] for key in sorted(names)}
