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
    `rebuild_concurrency` segments at once, each call for about `rebuild_work_seconds`. An import from S3 works on
    `import_concurrency` lots of objects at once, each call for about `import_work_seconds`, sends no more than
    `import_events_per_second` in all, and waits while more than `import_most_queued` events wait to be scored: live
    ones wait behind them. Where the stage `takes_web_acl`, `takes_chat` or `feeds_crms`, the context may ask for one.
    An alert that Slack did not take comes again after `slack_retry_seconds`, then four times as late each time; only
    where the stage `posts_to_itself` may a webhook be plain HTTP, to the machine that the function runs on.
    Insights are learned from `insights_segments` of the table at once, each call for about `insights_work_seconds`,
    when somebody asks for them, and where the stage `learns_weekly` once a week.
    A digest is of what happened up to `digest_settling_seconds` before it: what is newer may not be found yet.
    """

    name: str
    architecture: Architecture
    keeps_state: bool
    log_retention_days: RetentionDays
    api_requests_per_second: int
    api_burst: int
    score_timeout: int
    notify_timeout: int
    slack_timeout: int
    slack_retry_seconds: int
    digest_settling_seconds: int
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
    import_concurrency: int
    import_events_per_second: int
    import_most_queued: int
    import_work_seconds: int
    insights_segments: int
    insights_work_seconds: int
    learns_weekly: bool
    takes_web_acl: bool
    feeds_crms: bool
    takes_chat: bool
    posts_to_itself: bool
    signs_people_in: bool


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
            slack_timeout=10,
            slack_retry_seconds=1,
            digest_settling_seconds=0,
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
            import_concurrency=2,
            import_events_per_second=400,
            import_most_queued=1000,
            import_work_seconds=5,
            insights_segments=2,
            insights_work_seconds=30,
            learns_weekly=False,
            takes_web_acl=False,
            feeds_crms=False,
            takes_chat=False,
            posts_to_itself=True,
            signs_people_in=False,
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
            slack_timeout=30,
            slack_retry_seconds=15,
            digest_settling_seconds=300,
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
            import_concurrency=2,
            import_events_per_second=200,
            import_most_queued=1000,
            import_work_seconds=120,
            insights_segments=8,
            insights_work_seconds=120,
            learns_weekly=True,
            takes_web_acl=True,
            feeds_crms=True,
            takes_chat=True,
            posts_to_itself=False,
            signs_people_in=True,
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
            slack_timeout=30,
            slack_retry_seconds=15,
            digest_settling_seconds=300,
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
            import_concurrency=4,
            import_events_per_second=800,
            import_most_queued=2000,
            import_work_seconds=120,
            insights_segments=32,
            insights_work_seconds=120,
            learns_weekly=True,
            takes_web_acl=True,
            feeds_crms=True,
            takes_chat=True,
            posts_to_itself=False,
            signs_people_in=True,
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
