"""The optional stack that shows alerts in a chat by Amazon Q Developer; the emulator knows no such thing.

Context: `chat=slack:WORKSPACE/CHANNEL`, or `chat=teams:TENANT/TEAM/CHANNEL`. The workspace or team is first connected
in the console, once for an account. Invariant: the channel only shows what is published to the topic: its role may do
nothing, and its guardrail denies whatever somebody types into the chat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from constructs import Construct

_SLACK = re.compile(r"slack:(?P<workspace>[0-9A-Z]{1,255})/(?P<channel>[A-Za-z0-9]{1,255})")
_UUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_TEAMS = re.compile(rf"teams:(?P<tenant>{_UUID})/(?P<team>{_UUID})/(?P<channel>[A-Za-z0-9%@:._=-]{{1,255}})")


class ChatError(ValueError):
    """The context names no channel of a chat."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of Slack, or of Microsoft Teams where there is a `team`; `home` is its workspace or tenant."""

    home: str
    channel: str
    team: str | None = None


def parse_channel(text: str) -> Channel:
    """The channel that the context names; raises `ChatError` with the forms that there are."""
    if found := _SLACK.fullmatch(text):
        return Channel(found["workspace"], found["channel"])
    if found := _TEAMS.fullmatch(text):
        return Channel(found["tenant"], found["channel"], found["team"])
    raise ChatError(
        f"the context chat={text!r} is no channel: it is slack:WORKSPACE/CHANNEL or teams:TENANT/TEAM/CHANNEL, by ids"
    )


class ChatStack(Stack):
    """A channel configuration for the topic of that ARN."""

    def __init__(self, scope: Construct, *, stage_name: str, channel: Channel, topic_arn: str) -> None:
        super().__init__(scope, f"leadscore-{stage_name}-chat", description="Leadscore: alerts in a chat")
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("chatbot.amazonaws.com"),
            description="May do nothing: the channel shows alerts and runs no commands",
        )
        name = f"leadscore-{stage_name}-alerts"
        # Unless told otherwise, Amazon Q lets the channel do what an administrator may.
        guardrails = [f"arn:{self.partition}:iam::aws:policy/AWSDenyAll"]
        if channel.team is None:
            chatbot.CfnSlackChannelConfiguration(
                self,
                "Slack",
                configuration_name=name,
                iam_role_arn=role.role_arn,
                slack_workspace_id=channel.home,
                slack_channel_id=channel.channel,
                sns_topic_arns=[topic_arn],
                guardrail_policies=guardrails,
                logging_level="ERROR",
            )
            return
        chatbot.CfnMicrosoftTeamsChannelConfiguration(
            self,
            "Teams",
            configuration_name=name,
            iam_role_arn=role.role_arn,
            teams_tenant_id=channel.home,
            team_id=channel.team,
            teams_channel_id=channel.channel,
            sns_topic_arns=[topic_arn],
            guardrail_policies=guardrails,
            logging_level="ERROR",
        )
