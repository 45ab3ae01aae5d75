"""Slack over HTTP, as much of it as posting takes: one request, its answer told as one of three errors, or its success.

    200                                     posted
    429                                     PostponedError, after what `Retry-After` says
    5xx, 408, no connection, no answer      UnavailableError
    3xx, any other 4xx, `"ok": false`       RefusedError, with Slack's own word

Invariant: an address or a token is in no error, whose text is logged. Redirects are not followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import urllib3
from botocore.exceptions import ClientError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from leadscore.adapters.parameters import CachedParameter
from leadscore.core.slack_destination import Bot, Destination, InvalidDestinationError, Webhook, parse_destination
from leadscore.usecases.posting import PostponedError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_TIMEOUT = urllib3.Timeout(connect=2, read=5)
# A function's own patience ends the waiting before; SQS hides a message for up to twelve hours.
_LONGEST_WAIT_SECONDS = 3600.0
_USUAL_WAIT_SECONDS = 30.0
_ANSWER_BYTES = 65_536
_WORD = re.compile(r"[a-z][a-z0-9_]{1,63}")
_SERVER_ERROR, _TOO_MANY, _REQUEST_TIMEOUT, _OK = 500, 429, 408, 200
_NOT_CONNECTED = (ConnectTimeoutError, NewConnectionError, NameResolutionError, SSLError)
# What chat.postMessage says when it is not the message's fault: docs.slack.dev/reference/methods/chat.postMessage.
_PASSING = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
_NO_THREAD = frozenset({"cannot_reply_to_message", "invalid_thread_ts", "message_not_found", "thread_not_found"})


class SlackPoster:
    """The use case's Chat on a webhook or a bot."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        # No proxy of the environment, no retries of its own: the queue retries.
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    @property
    def has_threads(self) -> bool:
        """Whether a post can answer an earlier one: a bot's can."""
        return isinstance(self._destination, Bot)

    def post(self, message: Mapping[str, Any], thread: str | None) -> str | None:
        """Post, and return the post's id where Slack tells it."""
        if isinstance(self._destination, Webhook):
            self._send(self._destination.url, message, {})
            return None
        return self._post_as_bot(self._destination, message, thread)

    def _post_as_bot(self, bot: Bot, message: Mapping[str, Any], thread: str | None) -> str | None:
        body = {**message, "channel": bot.channel, **({"thread_ts": thread} if thread else {})}
        headers = {"Authorization": f"Bearer {bot.token}"}
        answer = _decode(self._send(f"{bot.api}/chat.postMessage", body, headers))
        if answer.get("ok") is True:
            post = answer.get("ts")
            return post if isinstance(post, str) else None
        word = _one_word(answer.get("error"), "no reason given")
        if thread is not None and word in _NO_THREAD:
            # Somebody has deleted the post that it would have answered.
            return self._post_as_bot(bot, message, None)
        if word in _RATE_LIMITED:
            raise PostponedError(_USUAL_WAIT_SECONDS)
        if word in _PASSING:
            raise UnavailableError(word, perhaps_posted=word != "service_unavailable")
        raise RefusedError(word)

    def _send(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
        try:
            answer = self._pool.request(
                "POST",
                url,
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json; charset=utf-8", **headers},
                redirect=False,
                preload_content=False,
            )
            try:
                content = answer.read(_ANSWER_BYTES)
            finally:
                answer.release_conn()
        except _NOT_CONNECTED as error:
            # The error's own text has the address, which is a secret.
            raise UnavailableError(f"not connected: {type(error).__name__}") from None
        except HTTPError as error:
            raise UnavailableError(f"no answer: {type(error).__name__}", perhaps_posted=True) from None
        _judge(answer.status, answer.headers.get("Retry-After"), content)
        return content


class SlackRoutes:
    """The chats of all routes, each as its secret parameter says, looked at again after `ttl_seconds`."""

    def __init__(
        self, ssm: SSMClient, prefix: str, *, ttl_seconds: int, plain_loopback: bool, clock: Callable[[], datetime]
    ) -> None:
        self._ssm = ssm
        self._prefix = prefix
        self._ttl = ttl_seconds
        self._plain_loopback = plain_loopback
        self._clock = clock
        self._parameters: dict[str, CachedParameter[SlackPoster]] = {}

    def chat(self, route: str) -> SlackPoster:
        """Return where a route posts to; raises RefusedError where nobody has said so, or in no way that works."""
        parameter = self._parameters.setdefault(route, self._parameter(route))
        try:
            return parameter.value()
        except InvalidDestinationError as error:
            raise RefusedError(f"what is set for the route is no destination: {error}") from None
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise RefusedError("nothing is set for the route: leadscore slack set") from None

    def _parameter(self, route: str) -> CachedParameter[SlackPoster]:
        return CachedParameter(
            self._ssm,
            f"{self._prefix}{route}",
            parse=lambda text: SlackPoster(parse_destination(text, plain_loopback=self._plain_loopback)),
            ttl_seconds=self._ttl,
            clock=self._clock,
            secret=True,
        )


def _judge(status: int, retry_after: str | None, content: bytes) -> None:
    if status == _OK:
        return
    if status == _TOO_MANY:
        raise PostponedError(_seconds(retry_after))
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        raise UnavailableError(f"HTTP {status}")
    raise RefusedError(_one_word(content.decode("utf-8", "replace").strip(), f"HTTP {status}"))


def _seconds(retry_after: str | None) -> float:
    if retry_after is None or not retry_after.strip().isdecimal():
        return _USUAL_WAIT_SECONDS
    return min(float(retry_after), _LONGEST_WAIT_SECONDS)


def _one_word(said: object, otherwise: str) -> str:
    """Return what Slack said if it is one of its words, so that nothing else gets into a log."""
    return said if isinstance(said, str) and _WORD.fullmatch(said) else otherwise


def _decode(content: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnavailableError("an answer that is no JSON object", perhaps_posted=True)
    return answer
