"""What Slack asks of a message, checked with Slack's own models and against its documented limits."""

from __future__ import annotations

import re
from typing import Any

from slack_sdk.models.blocks import ActionsBlock, Block, ContextBlock, HeaderBlock, SectionBlock

# Slack turns these alone into what they stand for; everything else of & < > must be escaped.
_ESCAPES = re.compile(r"&(amp|lt|gt);")
_EXPECTED = (HeaderBlock, SectionBlock, ActionsBlock, ContextBlock)


def check_message(message: dict[str, Any]) -> None:
    """Return if Slack would take the message and it mentions nobody; AssertionError otherwise."""
    assert set(message) == {"text", "blocks", "unfurl_links", "unfurl_media"}
    assert 0 < len(message["text"]) <= 3000
    assert 0 < len(message["blocks"]) <= 50
    for block in message["blocks"]:
        parsed = Block.parse(block)
        assert isinstance(parsed, _EXPECTED)
        assert parsed.to_dict() == block
        parsed.validate_json()
    actions = [
        one["action_id"] for block in message["blocks"] for one in block.get("elements", []) if "action_id" in one
    ]
    assert len(actions) == len(set(actions))
    for text in texts_of(message["blocks"]):
        assert 0 < _units(text["text"]) <= 3000
        if text["type"] == "mrkdwn":
            assert is_escaped(text["text"])
    assert is_escaped(message["text"])
    [header] = [block for block in message["blocks"] if block["type"] == "header"]
    assert _units(header["text"]["text"]) <= 150


def texts_of(value: Any) -> list[dict[str, Any]]:
    """Return every text object in a message's blocks."""
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    if isinstance(value, dict):
        own = [value] if value.get("type") in {"mrkdwn", "plain_text"} else []
        return own + [text for one in value.values() for text in texts_of(one)]
    return []


def is_escaped(text: str) -> bool:
    """Whether nothing in the text is markup of a mention or a link, nor half an escape."""
    return not set("<>&") & set(_ESCAPES.sub("", text))


def shown(text: str) -> str:
    """Return an escaped text as Slack shows it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
