"""The CDK app: one stage's two stacks, checked by cdk-nag at every synth.

Context: `stage` (local, dev or prod), `ruleset` and `mappings` (files, by default infra/ruleset.yaml and
infra/mappings.yaml), `partner_buses` (names of partner event buses, commas between), `alert_email` and `ops_email`
(who gets alerts, and alarms), `waf=true` (a web ACL in front of the API, in a stack of its own that `local` leaves
out) and `usage_plan=true` (reading takes an API key, and all readers together a bounded number of requests).
"""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.firewall import FirewallStack
from infra.mappings import load_mappings
from infra.ruleset import load_ruleset
from infra.stages import stage_named
from infra.stateful import StatefulStack
from infra.stateless import StatelessStack

DEFAULT_RULESET, DEFAULT_MAPPINGS = "infra/ruleset.yaml", "infra/mappings.yaml"


class ContextError(ValueError):
    """A value in the context is not one of those that it may have."""


def build_app(app: App, root: Path) -> App:
    """Give `app` the stacks that its context asks for; `root` is the project's folder.

    Raises `UnknownStageError`, `ContextError`, `RulesetFileError`, `MappingsFileError` or `BundlingError`, each with a
    text for people.
    """
    stage = stage_named(app.node.try_get_context("stage"))
    walled, metered = _flag(app, "waf") and stage.takes_web_acl, _flag(app, "usage_plan")
    ruleset = load_ruleset(root / (app.node.try_get_context("ruleset") or DEFAULT_RULESET))
    mappings = load_mappings(root / (app.node.try_get_context("mappings") or DEFAULT_MAPPINGS))
    partner_buses = str(app.node.try_get_context("partner_buses") or "")
    state = StatefulStack(
        app,
        stage=stage,
        ruleset=ruleset,
        mappings=mappings,
        partner_buses=tuple(name.strip() for name in partner_buses.split(",") if name.strip()),
        alert_email=app.node.try_get_context("alert_email"),
        ops_email=app.node.try_get_context("ops_email"),
    )
    work = StatelessStack(app, root=root, stage=stage, state=state, metered=metered)
    if walled:
        FirewallStack(app, stage_name=stage.name, api_stages=work.public_api.stage_arns)
    Tags.of(app).add("application", "leadscore")
    Tags.of(app).add("stage", stage.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def _flag(app: App, name: str) -> bool:
    """Return a switch of the context, which is text where it comes from a command line."""
    value = app.node.try_get_context(name)
    if value in (True, "true"):
        return True
    if value in (None, False, "false"):
        return False
    raise ContextError(f"the context {name}={value!r} is neither true nor false")
