"""The entry point of `cdk`: builds the app of one stage and writes its templates."""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App

from infra.alert_routes import AlertRoutesError
from infra.application import ContextError, build_app
from infra.bundling import BundlingError
from infra.chat import ChatError
from infra.crm import CrmError
from infra.mappings import MappingsFileError
from infra.quarantine import QuarantineFileError
from infra.ruleset import RulesetFileError
from infra.stages import UnknownStageError


def main() -> None:
    """Synthesize; what the person at the keyboard can mend is said in words, without a traceback."""
    try:
        build_app(App(), Path(__file__).parent).synth()
    except (
        AlertRoutesError,
        BundlingError,
        ChatError,
        ContextError,
        CrmError,
        MappingsFileError,
        QuarantineFileError,
        RulesetFileError,
        UnknownStageError,
    ) as error:
        sys.exit(f"leadscore: {error}")


if __name__ == "__main__":
    main()
