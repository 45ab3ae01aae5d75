"""Assemblies as fixtures: `assembly` runs a test for every stage, the named ones for theirs alone."""

from __future__ import annotations

import pytest

from infra.stages import STAGE_NAMES, Stage, stage_named
from tests.infra.synthesized import Assembly, assembly_of


@pytest.fixture(params=STAGE_NAMES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return stage_named(request.param)


@pytest.fixture
def assembly(stage: Stage) -> Assembly:
    return assembly_of(stage.name)


@pytest.fixture
def local() -> Assembly:
    return assembly_of("local")
