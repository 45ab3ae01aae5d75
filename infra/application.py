"""The CDK app: one stage's two stacks, checked by cdk-nag at every synth.

Context: `stage` (local, dev or prod), `ruleset` (a file, by default infra/ruleset.yaml), `alert_email` and `ops_email`
(who gets alerts, and alarms).
"""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.ruleset import load_ruleset
from infra.stages import stage_named
from infra.stateful import StatefulStack
from infra.stateless import StatelessStack

DEFAULT_RULESET = "infra/ruleset.yaml"


def build_app(app: App, root: Path) -> App:
    """Give `app` the stacks that its context asks for; `root` is the project's folder.

    Raises `UnknownStageError`, `RulesetFileError` or `BundlingError`, each with a text for people.
    """
    stage = stage_named(app.node.try_get_context("stage"))
    ruleset = load_ruleset(root / (app.node.try_get_context("ruleset") or DEFAULT_RULESET))
    state = StatefulStack(
        app,
        stage=stage,
        ruleset=ruleset,
        alert_email=app.node.try_get_context("alert_email"),
        ops_email=app.node.try_get_context("ops_email"),
    )
    StatelessStack(app, root=root, stage=stage, state=state)
    Tags.of(app).add("application", "leadscore")
    Tags.of(app).add("stage", stage.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app
