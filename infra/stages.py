"""The stages: everything in which local, dev and prod differ, and nothing else may differ.

Constructs take a `Stage` and never ask for its name. The local stage runs on the embedded emulator, whose functions
run on the machine at hand and whose queues know no batching window; dev and prod run on AWS.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["arm64", "x86_64"]
RetentionDays = Literal[3, 30, 90]


class UnknownStageError(ValueError):
    """The stage that was asked for does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage; all times are in seconds unless the name says days.

    `visibility_factor` times a function's timeout is how long a message that it failed on stays invisible; AWS asks
    for six. A poison message reaches its dead-letter queue after `max_receive_count` such rounds. For
    `tombstone_retention_days` nothing is taken in under an erased person's ids. A rebuild of all leads works on
    `rebuild_concurrency` segments at once, each call for about `rebuild_work_seconds`. Where the stage `takes_web_acl`,
    the context may ask for one.
    """

    name: str
    architecture: Architecture
    keeps_state: bool
    log_retention_days: RetentionDays
    api_requests_per_second: int
    api_burst: int
    score_timeout: int
    notify_timeout: int
    visibility_factor: int
    batch_size: int
    batch_window: int
    max_receive_count: int
    max_concurrency: int
    ruleset_ttl: int
    event_retention_days: int
    tombstone_retention_days: int
    rank_shards: int
    rebuild_concurrency: int
    rebuild_work_seconds: int
    takes_web_acl: bool


def host_architecture() -> Architecture:
    """The architecture of this machine in Lambda's words."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


_STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="local",
            architecture=host_architecture(),
            keeps_state=False,
            log_retention_days=3,
            api_requests_per_second=1000,
            api_burst=2000,
            score_timeout=6,
            notify_timeout=6,
            visibility_factor=1,
            batch_size=10,
            batch_window=0,
            max_receive_count=3,
            max_concurrency=2,
            ruleset_ttl=1,
            event_retention_days=400,
            tombstone_retention_days=1095,
            rank_shards=2,
            rebuild_concurrency=2,
            rebuild_work_seconds=5,
            takes_web_acl=False,
        ),
        Stage(
            name="dev",
            architecture="arm64",
            keeps_state=False,
            log_retention_days=30,
            api_requests_per_second=50,
            api_burst=100,
            score_timeout=60,
            notify_timeout=30,
            visibility_factor=6,
            batch_size=100,
            batch_window=1,
            max_receive_count=5,
            max_concurrency=5,
            ruleset_ttl=15,
            event_retention_days=400,
            tombstone_retention_days=1095,
            rank_shards=2,
            rebuild_concurrency=8,
            rebuild_work_seconds=120,
            takes_web_acl=True,
        ),
        Stage(
            name="prod",
            architecture="arm64",
            keeps_state=True,
            log_retention_days=90,
            api_requests_per_second=1000,
            api_burst=2000,
            score_timeout=60,
            notify_timeout=30,
            visibility_factor=6,
            batch_size=100,
            batch_window=1,
            max_receive_count=5,
            max_concurrency=20,
            ruleset_ttl=60,
            event_retention_days=400,
            tombstone_retention_days=1095,
            rank_shards=8,
            rebuild_concurrency=32,
            rebuild_work_seconds=120,
            takes_web_acl=True,
        ),
    )
}
STAGE_NAMES = tuple(_STAGES)


def stage_named(name: object) -> Stage:
    """The stage of that name; raises `UnknownStageError` with the choices otherwise."""
    stage = _STAGES.get(name) if isinstance(name, str) else None
    if stage is None:
        choices = "|".join(STAGE_NAMES)
        raise UnknownStageError(f"no stage {name!r}: choose one with `-c stage={choices}`")
    return stage
