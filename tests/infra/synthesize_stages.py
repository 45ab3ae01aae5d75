"""Synthesizes every stage in one process of its own: `python -m tests.infra.synthesize_stages FOLDER`.

FOLDER gets one assembly for each stage, `again` (local once more), `guarded` and `guarded-local` (dev and local with
all that the context can add), `peopled` and `impersonal` (local with a user pool, dev without), `importing` (dev that
imports from S3), `teams` (dev with alerts in Microsoft Teams and digests by mail) and `naked.txt`: what the synth said
to a queue without a dead-letter queue, to show that the gate closes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from infra.stages import STAGE_NAMES

# As the partner names it, with the id of the account's own connection.
PARTNER_BUS = "aws.partner/stripe.com/ed_test_1"
ALERTS = {"alert_routes": "tests/infra/alert_routes.yaml", "chat": "slack:T0123/C0456"}
CRMS = {"crm": "hubspot, salesforce", "salesforce_domain": "acme.my.salesforce.com"}
TEAMS_CHANNEL = (
    "teams:11111111-2222-3333-4444-555555555555/66666666-7777-8888-9999-000000000000/19%3aalerts%40thread.tacv2"
)
DIGESTS = {"digest_from": "alerts@company.example", "digest_email": "team@company.example"}
ARCHIVE_BUCKET = "acme.archive-1"
OWN_DOMAIN = "https://leads.company.example/v1/"
ROOT = Path(__file__).parents[2]


def _context(stage: str) -> dict[str, Any]:
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return {**context, "stage": stage, "alert_email": "sales@company.example", "ops_email": "ops@company.example"}


def main(folder: Path) -> None:
    # jsii looks for node on the PATH, which need not begin with this environment's folder.
    os.environ["JSII_NODE"] = str(Path(sys.executable).with_name("node"))  # noqa: TID251
    from aws_cdk import App, Stack
    from aws_cdk import aws_sqs as sqs

    from infra.application import build_app

    def app(stage: str, outdir: str, **switches: str) -> App:
        return build_app(App(outdir=str(folder / outdir), context=_context(stage) | switches), ROOT)

    for stage in STAGE_NAMES:
        app(stage, stage).synth()
    app("local", "again").synth()
    app("dev", "guarded", waf="true", usage_plan="true", partner_buses=PARTNER_BUS, **CRMS, **ALERTS).synth()
    app("local", "guarded-local", waf="true", **CRMS, **ALERTS).synth()
    app("local", "peopled", people="true").synth()
    app("dev", "impersonal", people="false", feedback_url=OWN_DOMAIN).synth()
    app("dev", "importing", import_bucket=ARCHIVE_BUCKET).synth()
    app("dev", "teams", chat=TEAMS_CHANNEL, **DIGESTS).synth()
    naked = app("local", "naked")
    sqs.Queue(Stack(naked, "Naked"), "Queue")
    try:
        naked.synth()
    except RuntimeError as error:
        (folder / "naked.txt").write_text(str(error), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
