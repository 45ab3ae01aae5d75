"""Posting: once, after waiting where the chat asks for it, at most one repeat where nobody can know, and never lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from leadscore.usecases.posting import (
    PostponedError,
    RefusedError,
    UnavailableError,
    delay_before_retry,
    post_alert,
    read_alert,
)
from tests.contract.memory_posts import MemoryPosts
from tests.unit.alerts import ALERT

FOLLOW_UP = replace(ALERT, id="follow-up", kind="follow_up")


@dataclass
class Channel:
    """A chat that answers what it is told to, one answer a post, and posts what is left."""

    answers: list[Exception] = field(default_factory=list)
    has_threads: bool = False
    posts: list[tuple[str, str | None]] = field(default_factory=list)

    def post(self, message: Mapping[str, Any], thread: str | None) -> str | None:
        if self.answers:
            raise self.answers.pop(0)
        self.posts.append((message["text"], thread))
        return f"{len(self.posts)}.0" if self.has_threads else None


@dataclass
class Time:
    left: float = 30.0
    waited: list[float] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.left -= seconds


def post(channel: Channel, memory: MemoryPosts, alert: Any = ALERT, time: Time | None = None) -> str:
    time = time or Time()
    return post_alert(alert, channel, memory, seconds_left=lambda: time.left, wait=time.wait)


def test_an_alert_is_posted_once_however_often_it_comes() -> None:
    channel, memory = Channel(), MemoryPosts()
    assert [post(channel, memory) for _ in range(3)] == ["posted", "repeated", "repeated"]
    assert len(channel.posts) == 1


def test_a_short_wait_is_waited_for() -> None:
    channel, time = Channel([PostponedError(3), PostponedError(5)]), Time()
    assert post(channel, MemoryPosts(), time=time) == "posted"
    assert time.waited == [3, 5]


def test_a_wait_beyond_the_time_left_is_for_later() -> None:
    channel, memory, time = Channel([PostponedError(25)]), MemoryPosts(), Time(left=30)
    with pytest.raises(PostponedError) as postponed:
        post(channel, memory, time=time)
    assert (postponed.value.seconds, time.waited) == (25, [])
    assert post(channel, memory) == "posted"


@pytest.mark.parametrize("answer", [PostponedError(900), UnavailableError("HTTP 503"), RefusedError("no_service")])
def test_what_posted_nothing_may_be_tried_as_often_as_it_comes(answer: Exception) -> None:
    channel, memory = Channel([answer] * 9), MemoryPosts()
    for _ in range(9):
        with pytest.raises(type(answer)):
            post(channel, memory)
    assert post(channel, memory) == "posted"


def test_without_an_answer_it_is_tried_once_more_and_then_looked_at() -> None:
    lost = UnavailableError("no answer", perhaps_posted=True)
    channel, memory = Channel([lost, lost]), MemoryPosts()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            post(channel, memory)
    with pytest.raises(RefusedError, match="may be posted already"):
        post(channel, memory)
    assert channel.posts == []


def test_a_crash_after_the_post_repeats_it_at_most_once() -> None:
    channel, memory = Channel(), MemoryPosts(crashes=9)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            post(channel, memory)
    with pytest.raises(RefusedError):
        post(channel, memory)
    assert len(channel.posts) == 2


def test_a_follow_up_is_in_the_thread_of_its_account() -> None:
    channel, memory = Channel(has_threads=True), MemoryPosts()
    post(channel, memory)
    post(channel, memory, FOLLOW_UP)
    post(channel, memory, replace(FOLLOW_UP, id="third"))
    assert [thread for _, thread in channel.posts] == [None, "1.0", "1.0"]


def test_a_new_alert_begins_a_thread_and_another_account_has_its_own() -> None:
    channel, memory = Channel(has_threads=True), MemoryPosts()
    post(channel, memory)
    post(channel, memory, replace(ALERT, id="again"))
    post(channel, memory, FOLLOW_UP)
    post(channel, memory, replace(FOLLOW_UP, id="other", account=None))
    assert [thread for _, thread in channel.posts] == [None, None, "2.0", None]


def test_a_webhook_knows_no_threads() -> None:
    channel, memory = Channel(), MemoryPosts()
    memory.threads["acme"] = "1.0"
    post(channel, memory, FOLLOW_UP)
    assert [thread for _, thread in channel.posts] == [None]


def test_a_message_is_read_or_refused_for_good() -> None:
    assert read_alert(json.dumps(ALERT.to_dict())) == ALERT
    for text, reason in (("{", "not JSON"), ('{"schema": "leadscore.alert/9"}', "schema"), ("[]", "the document")):
        with pytest.raises(RefusedError, match=reason):
            read_alert(text)


def test_each_retry_comes_four_times_as_late() -> None:
    assert [delay_before_retry(received, 15) for received in (1, 2, 3, 4)] == [15, 60, 240, 960]
