"""The built assets and a place to run them as Lambda would: none of this project's own environment in sight."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.bundling import Bundle, bundle_function, bundle_layer

ROOT = Path(__file__).parents[2]
FUNCTIONS = (
    "ingest",
    "score",
    "notify",
    "api",
    "erase",
    "feedback",
    "cool",
    "digest",
    "nurture",
    "rebuild",
    "publish",
    "diff",
    "insights",
    "importer",
    "slack",
)
# What the Lambda runtime brings along: boto3 with everything under it.
_RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
# One value serves all functions here: numbers where numbers are read, and nothing is called.
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "test",
    "POWERTOOLS_METRICS_NAMESPACE": "Leadscore",
    **dict.fromkeys(("EVENTS_QUEUE_URL", "CHANGES_QUEUE_URL"), "https://sqs.eu-central-1.amazonaws.com/1/queue"),
    **dict.fromkeys(("TABLE_NAME", "BUS_NAME", "IMPORT_BUCKET", "STAGE"), "name"),
    **dict.fromkeys(
        ("RULESET_PARAMETER", "MAPPINGS_PARAMETER", "QUARANTINE_PARAMETER", "WRITE_KEYS_PARAMETER"), "name"
    ),
    "ALERTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:alerts",
    "DIGESTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:digests",
    "REBUILD_MACHINE_ARN": "arn:aws:states:eu-central-1:123456789012:stateMachine:rebuild",
    "FEEDBACK_URL": "https://api.example/v1",
    "SLACK_QUEUES": "{}",
    "SLACK_PARAMETERS": "/name/",
    **dict.fromkeys(
        (
            "RULESET_TTL_SECONDS",
            "EVENT_RETENTION_DAYS",
            "RANK_SHARDS",
            "SWEEP_DELAY_SECONDS",
            "TOMBSTONE_RETENTION_DAYS",
            "WORK_SECONDS",
            "EVENTS_PER_SECOND",
            "MOST_QUEUED",
            "SLACK_TTL_SECONDS",
            "RETRY_SECONDS",
            "SETTLING_SECONDS",
            "MAX_RECEIVES",
            "PLAIN_LOOPBACK",
        ),
        "1",
    ),
}


@functools.cache
def layer() -> Bundle:
    return bundle_layer(ROOT)


@functools.cache
def function(name: str) -> Bundle:
    return bundle_function(ROOT, name)


@dataclass(frozen=True, slots=True)
class Run:
    """What one fresh process said, and the processor time that it took."""

    output: str
    errors: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class CleanInterpreter:
    """Fresh processes that see the standard library, the runtime's own packages and the folders they are given."""

    runtime: Path

    def run(self, code: str, *folders: Path) -> Run:
        """Run `code` with those folders first on the module path, as Lambda mounts them."""
        paths = json.dumps([str(folder) for folder in (*folders, self.runtime)])
        before = _cpu_of_children()
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {paths}\n{code}"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.stdout, done.stderr, _cpu_of_children() - before)


def lay_out_runtime(folder: Path) -> CleanInterpreter:
    """Make `folder` the runtime's packages: links to those that are installed here, and to nothing else."""
    for package in _RUNTIME_PACKAGES:
        distribution = importlib.metadata.distribution(package)
        names = {path.parts[0] for path in distribution.files or () if path.suffix == ".py"}
        for name in sorted(names - {".."}):
            (folder / name).symlink_to(Path(str(distribution.locate_file(name))))
    return CleanInterpreter(folder)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
