from __future__ import annotations

import pytest

from tests.package.built import CleanInterpreter, lay_out_runtime


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> CleanInterpreter:
    return lay_out_runtime(tmp_path_factory.mktemp("runtime"))
