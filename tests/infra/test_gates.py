"""The gates of every synth: cdk-nag, cfn-lint, what the emulator cannot deploy, and equal input giving equal output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.stages import STAGE_NAMES
from tests.infra.synthesized import STACKS, Assembly, assemblies, assembly_of

# One of these in a template and the emulator refuses the whole stack.
NOT_ON_THE_EMULATOR = (
    "AWS::Events::Archive",
    "AWS::Events::Connection",
    "AWS::Events::ApiDestination",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::ApplicationAutoScaling::",
    "AWS::WAFv2::WebACLAssociation",
    # Needs packages of another language beside the emulator.
    "Custom::",
)


def test_nag_has_nothing_left_to_say(assembly: Assembly) -> None:
    report = json.loads((assembly.folder / "validation-report.json").read_text(encoding="utf-8"))
    nag = [each for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"]

    assert [(each["conclusion"], each["violations"]) for each in nag] == [("success", [])]


def test_nag_stops_a_synth_that_has_a_finding() -> None:
    refusal = (assemblies() / "naked.txt").read_text(encoding="utf-8")

    assert "ValidationFailed" in refusal
    assert "AwsSolutions-SQS3" in refusal


def test_cfn_lint_has_nothing_to_say_about_what_goes_to_aws(tmp_path: Path) -> None:
    templates = [str(assembly_of(stage).file(stack)) for stage in STAGE_NAMES for stack in STACKS]
    templates += [
        str(Assembly(assemblies() / "guarded", "dev").file(stack)) for stack in ("firewall", "crm", "chat", *STACKS)
    ]
    # W3005 minds that a function names its role twice: the CDK does so to wait for the role's policy as well.
    options = ["--format", "json", "--regions", "eu-central-1", "us-east-1", "--ignore-checks", "W3005", "--"]
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), *options, *templates],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    findings = {(each["Rule"]["Id"], Path(each["Filename"]).name) for each in json.loads(done.stdout)}

    assert done.stderr == ""
    assert findings == set()


def test_local_stage_has_only_what_the_emulator_can_deploy(local: Assembly) -> None:
    kinds = {each["Type"] for stack in STACKS for each in local.template(stack)["Resources"].values()}

    assert "AWS::Lambda::Function" in kinds
    assert [kind for kind in sorted(kinds) if kind.startswith(NOT_ON_THE_EMULATOR)] == []


@pytest.mark.parametrize(("stack", "kind"), [(s, k) for s in STACKS for k in ("template", "assets")])
def test_a_second_synth_gives_the_same_bytes(local: Assembly, stack: str, kind: str) -> None:
    """Also the assets: their hashes are in these files, so deploying again is a no-op."""
    again = Assembly(assemblies() / "again", "local")

    assert local.file(stack, kind).read_bytes() == again.file(stack, kind).read_bytes()


def test_stages_differ_in_their_figures_and_not_in_their_resources() -> None:
    """What the context adds is the only other thing that adds a resource; local has people where it is asked for."""
    kinds = [_kinds(assembly_of(stage)) for stage in STAGE_NAMES]
    asked = {name: _kinds(Assembly(assemblies() / name, stage)) for name, stage in ASKED.items()}

    assert kinds == [asked["impersonal"], asked["peopled"], asked["peopled"]]
    assert kinds[1] != kinds[0]


# Assemblies in which the context says of the user pool what the stage would not.
ASKED = {"impersonal": "dev", "peopled": "local"}


def _kinds(assembly: Assembly) -> list[str]:
    return sorted(each["Type"] for stack in STACKS for each in assembly.template(stack)["Resources"].values())
