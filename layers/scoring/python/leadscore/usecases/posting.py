"""Posting an alert to a chat: once, and never lost.

    begin (a note in the store) -> post -> note that it is posted
      already posted: done    told to wait: wait, or later    refused: withdrawn, for people to look at
      no answer: it may be posted or not; tried once more, and then it is for people to look at

Invariant: one alert is posted to one place at most twice, and twice only when nobody could know of the first time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from leadscore.core.alerts import Alert, UnreadableAlertError
from leadscore.core.slack_message import slack_message

Beginning = Literal["begun", "posted", "unknown"]
# Of what is left of a function's time: enough for one request that takes its whole timeout, and a write.
_RESERVE_SECONDS = 8.0


class PostponedError(RuntimeError):
    """The chat asks to come again after so many seconds; nothing was posted."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"asked to wait for {seconds:g} s")
        self.seconds = seconds


class UnavailableError(RuntimeError):
    """The chat could not be reached, or failed; `perhaps_posted` where it may have taken the message all the same."""

    def __init__(self, reason: str, *, perhaps_posted: bool = False) -> None:
        super().__init__(reason)
        self.perhaps_posted = perhaps_posted


class RefusedError(RuntimeError):
    """The message will never be taken as things are; `reason` says why, in one word where the chat gave one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Chat(Protocol):
    """One place to post to."""

    @property
    def has_threads(self) -> bool:
        """Whether a post can answer an earlier one."""

    def post(self, message: Mapping[str, Any], thread: str | None) -> str | None:
        """Post, in a thread if one is given, and return the post's id where there are threads.

        Raises PostponedError, UnavailableError or RefusedError.
        """


class PostMemory(Protocol):
    """What was posted to one place."""

    def begin(self, alert: str) -> Beginning:
        """Note an attempt, and return whether it may be made: `unknown` is after two of unknown outcome."""

    def withdraw(self, alert: str) -> None:
        """Note that the attempt posted nothing."""

    def finish(self, alert: str, account: str | None, post: str | None) -> None:
        """Note that the alert is posted, and which post the next ones of its account may answer."""

    def thread(self, account: str) -> str | None:
        """Return the post that a follow-up of the account may answer."""


def read_alert(text: str) -> Alert:
    """Return the alert that a message holds; raises RefusedError, as reading it again would find the same."""
    try:
        return Alert.from_dict(json.loads(text))
    except UnreadableAlertError as error:
        raise RefusedError(f"unreadable: {error}") from None
    except ValueError:
        raise RefusedError("unreadable: not JSON") from None


def delay_before_retry(received: int, first_seconds: int) -> int:
    """Return the seconds until a message that was received so often should come again: each time four times as long."""
    return first_seconds * int(4 ** min(received - 1, 8))


def post_alert(
    alert: Alert,
    chat: Chat,
    memory: PostMemory,
    *,
    seconds_left: Callable[[], float],
    wait: Callable[[float], None],
) -> Literal["posted", "repeated"]:
    """Post the alert unless it is posted already; raises PostponedError, UnavailableError or RefusedError."""
    beginning = memory.begin(alert.id)
    if beginning == "posted":
        return "repeated"
    if beginning == "unknown":
        raise RefusedError("two attempts had no answer: it may be posted already")
    account = None if alert.account is None else alert.account.id
    try:
        thread = memory.thread(account) if account and chat.has_threads and alert.kind == "follow_up" else None
        post = _post_patiently(slack_message(alert), thread, chat, seconds_left, wait)
    except UnavailableError as error:
        if not error.perhaps_posted:
            memory.withdraw(alert.id)
        raise
    except (PostponedError, RefusedError):
        memory.withdraw(alert.id)
        raise
    memory.finish(alert.id, account, thread or post)
    return "posted"


def _post_patiently(
    message: Mapping[str, Any],
    thread: str | None,
    chat: Chat,
    seconds_left: Callable[[], float],
    wait: Callable[[float], None],
) -> str | None:
    """Post, waiting where the chat asks for it and there is time for it."""
    while True:
        try:
            return chat.post(message, thread)
        except PostponedError as postponed:
            if postponed.seconds + _RESERVE_SECONDS > seconds_left():
                raise
            wait(postponed.seconds)
