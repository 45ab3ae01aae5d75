"""What a route's secret may be: HTTPS alone, no secret in any text, and a mistake told without quoting it."""

from __future__ import annotations

import json

import pytest

from leadscore.core.slack_destination import SLACK_API, Bot, InvalidDestinationError, Webhook, parse_destination

WEBHOOK = "https://hooks.slack.com/services/T0/B0/s3cret"
TOKEN = "xoxb-1234567890-s3cret"


def bot(**fields: object) -> str:
    return json.dumps({"token": TOKEN, "channel": "C0123456", **fields})


def test_a_webhook_is_its_address() -> None:
    assert parse_destination(f" {WEBHOOK}\n") == Webhook(WEBHOOK)


def test_a_bot_is_a_token_and_a_channel() -> None:
    assert parse_destination(bot()) == Bot(TOKEN, "C0123456", SLACK_API)
    assert parse_destination(bot(api="https://slack-gov.com/api/")) == Bot(
        TOKEN, "C0123456", "https://slack-gov.com/api"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hooks.slack.com/services/s3cret",
        "http://hooks.slack.com/services/s3cret",
        "http://127.0.0.1:8080/s3cret",
        "ftp://hooks.slack.com/s3cret",
        "https://",
        "https://user:s3cret@hooks.slack.com/",
        "https://hooks.slack.com/s3cret#part",
        "https://hooks.slack.com/s3 cret",
        "https://hooks.slack.com:s3cret/",
        "https://[s3cret/",
        "https://hooks.sl\u00e4ck.com/s3cret",
        '{"token": "s3cret"',
        bot(token="s3cret"),
        bot(token=None),
        bot(channel="#s3cret"),
        bot(channel=7),
        bot(api="http://s3cret.example"),
        bot(api=None),
        bot(colour="s3cret"),
    ],
)
def test_what_is_no_destination_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(InvalidDestinationError) as refused:
        parse_destination(text)
    assert "s3cret" not in str(refused.value)
    assert len(str(refused.value)) > 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/x"])
def test_plain_http_goes_to_this_machine_alone_and_only_where_that_is_asked_for(url: str) -> None:
    assert parse_destination(url, plain_loopback=True) == Webhook(url)
    with pytest.raises(InvalidDestinationError):
        parse_destination(url)
    with pytest.raises(InvalidDestinationError):
        parse_destination("http://169.254.169.254/latest", plain_loopback=True)


@pytest.mark.parametrize("text", [WEBHOOK, bot()])
def test_no_representation_has_the_secret(text: str) -> None:
    assert "s3cret" not in repr(parse_destination(text))
