"""Stage names come from the command line; a wrong one is answered with the right ones."""

from __future__ import annotations

import pytest

from infra.stages import UnknownStageError, stage_named


@pytest.mark.parametrize("name", ["local", "dev", "prod"])
def test_stage_is_found_by_name(name: str) -> None:
    assert stage_named(name).name == name


@pytest.mark.parametrize("name", ["production", "", None, 3])
def test_unknown_stage_is_refused_with_the_choices(name: object) -> None:
    with pytest.raises(UnknownStageError, match=r"stage=local\|dev\|prod"):
        stage_named(name)
