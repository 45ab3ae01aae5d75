"""The CDK app: one stage's two stacks, checked by cdk-nag at every synth.

Context: `stage` (local, dev or prod), `ruleset`, `mappings` and `quarantine` (files, by default infra/ruleset.yaml,
infra/mappings.yaml and infra/quarantine.yaml), `partner_buses` (names of partner event buses, commas between),
`alert_email` and `ops_email` (who gets alerts, and alarms), `import_bucket` (the bucket that `leadscore import s3://`
reads by a state machine; there is none without), `lead_page` (the address of a lead's page in
another tool, with `{id}`, that alerts lead to), `feedback_url` (the address of the API, ending in its stage, that
the links of alerts for verdicts begin with; the API's own unless told), `digest_email` (who gets the daily digest of
all leads), `digest_from` (the address, verified in SES, from which owners in its domain get theirs; they get none by
mail without), `alert_routes` (a file of subscriptions to the alerts, see infra/alert_routes.py), `chat` (a channel
that shows them by Amazon Q Developer, see infra/chat.py; `local` leaves it out), `waf=true` (a web ACL in front of the
API, in a stack of its own that `local` leaves out), `usage_plan=true` (reading takes an API key,
and all readers together a bounded number of requests), `people` (true or false: whether
there is a user pool whose people may read; true unless told, in `local` false), `crm` (hubspot, salesforce, or both
with a comma between: what is kept up to date with scores and tiers, by a stack of its own that `local` leaves out) and
`salesforce_domain` (company.my.salesforce.com).
"""

from __future__ import annotations

import re
from pathlib import Path

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.alert_routes import load_alert_routes
from infra.chat import Channel, ChatStack, parse_channel
from infra.crm import CrmStack, parse_crms
from infra.firewall import FirewallStack
from infra.mappings import load_mappings
from infra.quarantine import load_quarantine
from infra.ruleset import load_ruleset
from infra.stages import Stage, stage_named
from infra.stateful import StatefulStack
from infra.stateless import StatelessStack

# docs.aws.amazon.com/AmazonS3, general purpose bucket naming rules.
# What stands for the lead's id in the address of its page; `notify` puts the id there.
_PLACE_OF_ID = "{id}"
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
DEFAULT_RULESET, DEFAULT_MAPPINGS, DEFAULT_QUARANTINE = (
    "infra/ruleset.yaml",
    "infra/mappings.yaml",
    "infra/quarantine.yaml",
)


class ContextError(ValueError):
    """A value in the context is not one of those that it may have."""


def build_app(app: App, root: Path) -> App:
    """Give `app` the stacks that its context asks for; `root` is the project's folder.

    Raises `UnknownStageError`, `ContextError`, `RulesetFileError`, `MappingsFileError`, `QuarantineFileError`,
    `AlertRoutesError`, `ChatError`, `CrmError` or `BundlingError`, each with a text for people.
    """
    stage = stage_named(app.node.try_get_context("stage"))
    walled, metered = _flag(app, "waf") and stage.takes_web_acl, _flag(app, "usage_plan")
    with_people = _flag(app, "people", unless_told=stage.signs_people_in)
    ruleset = load_ruleset(root / (app.node.try_get_context("ruleset") or DEFAULT_RULESET))
    mappings = load_mappings(root / (app.node.try_get_context("mappings") or DEFAULT_MAPPINGS))
    quarantine = load_quarantine(root / (app.node.try_get_context("quarantine") or DEFAULT_QUARANTINE))
    partner_buses = str(app.node.try_get_context("partner_buses") or "")
    crms = parse_crms(app.node.try_get_context("crm"), app.node.try_get_context("salesforce_domain"), stage)
    routes, chat = app.node.try_get_context("alert_routes"), _chat(app, stage)
    state = StatefulStack(
        app,
        stage=stage,
        ruleset=ruleset,
        mappings=mappings,
        quarantine=quarantine,
        partner_buses=tuple(name.strip() for name in partner_buses.split(",") if name.strip()),
        alert_email=app.node.try_get_context("alert_email"),
        ops_email=app.node.try_get_context("ops_email"),
        digest_email=app.node.try_get_context("digest_email"),
        with_people=with_people,
        alert_routes=load_alert_routes(root / routes) if routes else (),
        with_chat=chat is not None,
    )
    work = StatelessStack(
        app,
        root=root,
        stage=stage,
        state=state,
        metered=metered,
        import_bucket=_bucket(app, "import_bucket"),
        lead_page=_lead_page(app),
        feedback_url=_feedback_url(app),
        digest_from=_address(app, "digest_from"),
    )
    if crms and stage.feeds_crms:
        CrmStack(app, stage=stage, bus=state.bus, crms=crms, alarm_action=state.alarm_action)
    if walled:
        FirewallStack(app, stage_name=stage.name, api_stages=work.public_api.stage_arns)
    if chat is not None and state.delivery.chat_topic is not None:
        ChatStack(app, stage_name=stage.name, channel=chat, topic_arn=state.delivery.chat_topic.topic_arn)
    Tags.of(app).add("application", "leadscore")
    Tags.of(app).add("stage", stage.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def _chat(app: App, stage: Stage) -> Channel | None:
    """Return the channel of a chat that the context names, where the stage takes one."""
    value = app.node.try_get_context("chat")
    return parse_channel(str(value)) if value and stage.takes_chat else None


def _lead_page(app: App) -> str | None:
    """Return the address of a lead's page that the context gives, with the place for its id."""
    value = app.node.try_get_context("lead_page")
    if value and not (str(value).startswith("https://") and _PLACE_OF_ID in str(value)):
        raise ContextError(f"lead_page must be an https:// address with {_PLACE_OF_ID} in it, not {value!r}")
    return str(value) if value else None


def _feedback_url(app: App) -> str | None:
    """Return where the context says that the API is: a domain of one's own, or this machine, without a last slash."""
    value = app.node.try_get_context("feedback_url")
    if value and not str(value).startswith(("https://", "http://127.0.0.1:")):
        raise ContextError(f"feedback_url must be an https:// address, not {value!r}")
    return str(value).rstrip("/") if value else None


def _address(app: App, name: str) -> str | None:
    """Return an e-mail address of the context, so that no policy is made of anything else."""
    value = app.node.try_get_context(name)
    if value in (None, ""):
        return None
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value
    raise ContextError(f"the context {name}={value!r} is no e-mail address")


def _bucket(app: App, name: str) -> str | None:
    """Return the name of a bucket that the context gives, so that no policy is made of anything else."""
    value = app.node.try_get_context(name)
    if value in (None, ""):
        return None
    if isinstance(value, str) and _BUCKET_NAME.fullmatch(value):
        return value
    raise ContextError(f"the context {name}={value!r} is no name of a bucket")


def _flag(app: App, name: str, *, unless_told: bool = False) -> bool:
    """Return a switch of the context, which is text where it comes from a command line."""
    value = app.node.try_get_context(name)
    if value in (True, "true"):
        return True
    if value is None:
        return unless_told
    if value in (False, "false"):
        return False
    raise ContextError(f"the context {name}={value!r} is neither true nor false")
