"""What each function is told by its environment: one frozen value per function, read once at start.

A variable that is missing or is no number ends the start with its name, so that a bad deployment fails before it
takes an event. The infrastructure tests hold each function's environment against these classes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Self


class MissingSettingError(LookupError):
    """An environment variable that a function needs is not there or has no usable value."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Reads each field from the variable of its name in capitals; `int` fields must be whole numbers.

    A field of type `str | None` is None where there is no such variable.
    """

    @classmethod
    def from_env(cls) -> Self:
        """Return the settings of this process; raises MissingSettingError naming the variable."""
        return cls(**{f.name: _read_as(str(f.type), f.name.upper()) for f in fields(cls)})


def _read_as(kind: str, name: str) -> str | int | None:
    if kind == "str | None" and not os.environ.get(name):  # noqa: TID251
        return None
    return _read(name, number=kind == "int")


def _read(name: str, *, number: bool) -> str | int:
    value = os.environ.get(name)  # noqa: TID251
    if not value:
        raise MissingSettingError(f"the environment variable {name} is not set")
    if not number:
        return value
    if not value.isdecimal():
        raise MissingSettingError(f"the environment variable {name} is no whole number: {value!r}")
    return int(value)


@dataclass(frozen=True, slots=True)
class IngestSettings(Settings):
    """Settings of `ingest`."""

    events_queue_url: str
    write_keys_parameter: str


@dataclass(frozen=True, slots=True)
class ScoreSettings(Settings):
    """Settings of `score`."""

    table_name: str
    events_queue_url: str
    changes_queue_url: str
    ruleset_parameter: str
    mappings_parameter: str
    quarantine_parameter: str
    ruleset_ttl_seconds: int
    event_retention_days: int
    rank_shards: int


@dataclass(frozen=True, slots=True)
class EraseSettings(Settings):
    """Settings of `erase`."""

    table_name: str
    events_queue_url: str
    sweep_delay_seconds: int
    tombstone_retention_days: int
    event_retention_days: int
    rank_shards: int


@dataclass(frozen=True, slots=True)
class RebuildSettings(Settings):
    """Settings of `rebuild`."""

    table_name: str
    events_queue_url: str
    changes_queue_url: str
    ruleset_parameter: str
    event_retention_days: int
    rank_shards: int
    work_seconds: int


@dataclass(frozen=True, slots=True)
class InsightsSettings(Settings):
    """Settings of `insights`."""

    table_name: str
    bus_name: str
    ruleset_parameter: str
    event_retention_days: int
    work_seconds: int


@dataclass(frozen=True, slots=True)
class PublishSettings(Settings):
    """Settings of `publish`."""

    table_name: str
    ruleset_parameter: str
    settling_seconds: int
    rebuild_machine_arn: str


@dataclass(frozen=True, slots=True)
class DiffSettings(Settings):
    """Settings of `diff`."""

    table_name: str
    ruleset_parameter: str
    event_retention_days: int


@dataclass(frozen=True, slots=True)
class ImporterSettings(Settings):
    """Settings of `importer`; the figures are what one call may take and do, and how deep the queue may be for it."""

    import_bucket: str
    events_queue_url: str
    event_retention_days: int
    events_per_second: int
    most_queued: int
    work_seconds: int


@dataclass(frozen=True, slots=True)
class CoolSettings(Settings):
    """Settings of `cool`."""

    table_name: str
    events_queue_url: str
    changes_queue_url: str
    bus_name: str
    event_retention_days: int
    rank_shards: int


@dataclass(frozen=True, slots=True)
class NurtureSettings(Settings):
    """Settings of `nurture`."""

    table_name: str
    events_queue_url: str
    bus_name: str
    ruleset_parameter: str
    event_retention_days: int
    rank_shards: int


@dataclass(frozen=True, slots=True)
class NotifySettings(Settings):
    """Settings of `notify`."""

    table_name: str
    alerts_topic_arn: str
    ordered_alerts_topic_arn: str | None
    chat_topic_arn: str | None
    bus_name: str
    changes_queue_url: str
    ruleset_parameter: str
    ruleset_ttl_seconds: int
    event_retention_days: int
    rank_shards: int
    stage: str
    feedback_url: str
    lead_page: str | None


@dataclass(frozen=True, slots=True)
class FeedbackSettings(Settings):
    """Settings of `feedback`."""

    table_name: str
    event_retention_days: int
    rank_shards: int


@dataclass(frozen=True, slots=True)
class DigestSettings(Settings):
    """Settings of `digest`; without `digest_from` nobody gets mail of their own."""

    table_name: str
    digests_topic_arn: str
    digest_from: str | None
    ruleset_parameter: str
    ruleset_ttl_seconds: int
    event_retention_days: int
    rank_shards: int
    settling_seconds: int
    stage: str
    lead_page: str | None


@dataclass(frozen=True, slots=True)
class SlackSettings(Settings):
    """Settings of `slack`; `slack_queues` is JSON, `plain_loopback` 1 where a webhook may be on this machine."""

    table_name: str
    slack_queues: str
    slack_parameters: str
    slack_ttl_seconds: int
    retry_seconds: int
    max_receives: int
    plain_loopback: int


@dataclass(frozen=True, slots=True)
class ApiSettings(Settings):
    """Settings of `api`."""

    table_name: str
    events_queue_url: str
    ruleset_parameter: str
    ruleset_ttl_seconds: int
    event_retention_days: int
    rank_shards: int
