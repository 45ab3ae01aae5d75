"""Deploys the app once per session, by the code of `leadscore up`, in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from botocore.config import Config

from leadscore_cli.api_client import ApiClient
from leadscore_cli.aws import local_session
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.project import find_project
from tests.e2e.deployed import ARCHIVE_BUCKET, Clients, Stack

LOOPBACK = ["127.0.0.1"]
CONTEXT = ("alert_routes=tests/e2e/alert_routes.yaml", f"import_bucket={ARCHIVE_BUCKET}")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark all tests of this folder as end-to-end, and let them reach this machine alone."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The app, deployed on an emulated AWS that enforces IAM."""
    stage = LocalStage(
        find_project(),
        tmp_path_factory.mktemp("stage") / "state",
        print,
        outlives_this_process=False,
        context=CONTEXT,
    )
    outputs = stage.up()
    try:
        session = local_session()
        config = Config(proxies={})
        url = outputs.endpoint_url
        with ExitStack() as opened:
            clients = Clients(
                dynamodb=opened.enter_context(closing(session.client("dynamodb", endpoint_url=url, config=config))),
                events=opened.enter_context(closing(session.client("events", endpoint_url=url, config=config))),
                iam=opened.enter_context(closing(session.client("iam", endpoint_url=url, config=config))),
                lambdas=opened.enter_context(closing(session.client("lambda", endpoint_url=url, config=config))),
                logs=opened.enter_context(closing(session.client("logs", endpoint_url=url, config=config))),
                sns=opened.enter_context(closing(session.client("sns", endpoint_url=url, config=config))),
                sqs=opened.enter_context(closing(session.client("sqs", endpoint_url=url, config=config))),
                ssm=opened.enter_context(closing(session.client("ssm", endpoint_url=url, config=config))),
                sts=opened.enter_context(closing(session.client("sts", endpoint_url=url, config=config))),
            )
            names = outputs.deployment
            api = opened.enter_context(ApiClient(names.api, names.region, session.get_credentials()))
            yield Stack(stage, outputs, session, clients, api)
    finally:
        stage.down()
