"""Where a Slack route posts to: what its secret parameter holds, a webhook's address or a bot's token and channel.

    https://hooks.slack.com/services/T0/B0/secret
    {"token": "xoxb-...", "channel": "C0123"}            "api": another base address, for GovSlack

Invariant: a secret is in no message of an error and in no representation of a value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SLACK_API = "https://slack.com/api"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]{10,}")
_CHANNEL = re.compile(r"[A-Z0-9]{3,20}")
_BOT_FIELDS = frozenset({"token", "channel", "api"})


class InvalidDestinationError(ValueError):
    """The text names no place to post to; says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An incoming webhook: one channel, no threads."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot's token and the channel it posts to, by `chat.postMessage`: it can answer in a thread."""

    token: str = field(repr=False)
    channel: str
    api: str = SLACK_API


type Destination = Webhook | Bot


def parse_destination(text: str, *, plain_loopback: bool = False) -> Destination:
    """Return the destination that a parameter's text names; raises InvalidDestinationError.

    Addresses are HTTPS; only with `plain_loopback` may one be plain HTTP, to this very machine.
    """
    text = text.strip()
    if not text.startswith("{"):
        return Webhook(_address(text, plain_loopback=plain_loopback))
    try:
        document = json.loads(text)
    except ValueError:
        raise InvalidDestinationError("it begins like JSON and is none") from None
    token, channel, api = (document.get(name, default) for name, default in _BOT_DEFAULTS)
    if not document.keys() <= _BOT_FIELDS:
        raise InvalidDestinationError(f"its fields are {', '.join(sorted(_BOT_FIELDS))}")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise InvalidDestinationError("its token is none of a bot, which begins with xoxb-")
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise InvalidDestinationError("its channel is no channel's id, such as C0123456789")
    return Bot(token, channel, _address(api, plain_loopback=plain_loopback).rstrip("/"))


_BOT_DEFAULTS = (("token", None), ("channel", None), ("api", SLACK_API))


def _address(text: object, *, plain_loopback: bool) -> str:
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidDestinationError("it is no web address")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise InvalidDestinationError("it is no web address") from None
    if not host or parts.username is not None or parts.fragment:
        raise InvalidDestinationError("it is no web address with a host and without a user or a fragment")
    is_plain = parts.scheme == "http" and plain_loopback and host in _LOOPBACK
    if parts.scheme != "https" and not is_plain:
        raise InvalidDestinationError("its address does not begin with https://")
    return text
