"""Released SDKs against the deployed stack, with nothing of them changed but the host and the key."""

from __future__ import annotations

import pytest

from leadscore_cli.project import find_project
from tests.e2e.deployed import Stack
from tests.e2e.sdks.calls import (
    SCORE,
    assert_dated_by_our_clock,
    assert_holds_the_call,
    assert_holds_the_wire,
    identities_in,
    types_of,
)
from tests.e2e.sdks.compatibility import (
    LEFT,
    LOST,
    PLAIN,
    THROTTLED,
    UNAVAILABLE,
    WRONG_KEY,
    draw_table,
    waited_as_told,
)
from tests.e2e.sdks.trial import DRIVERS, Scenario, Sdk, Trials

SEGMENT_PAGE = Sdk(
    "@segment/analytics-next",
    ("browser.mjs", "segment.html"),
    "AnalyticsBrowser.load({ writeKey: KEY, cdnURL: HOST })",
)
RUDDERSTACK_PAGE = Sdk(
    "@rudderstack/analytics-js",
    ("browser.mjs", "rudder.html"),
    'analytics.load(KEY, HOST, { configUrl: HOST + "/v1/sourceConfig" })',
    has_screen=False,
    sends_nulls=False,
    waits_as_told=False,
)
PAGES = [SEGMENT_PAGE, RUDDERSTACK_PAGE]
SDKS = [
    Sdk("segment-analytics-python", ("python_sdk.py", "segment.analytics", "host"), "analytics.host = HOST"),
    Sdk(
        "rudder-sdk-python",
        ("python_sdk.py", "rudderstack.analytics", "dataPlaneUrl"),
        "analytics.dataPlaneUrl = HOST",
        waits_as_told=False,
    ),
    Sdk("@segment/analytics-node", ("segment_node.mjs",), "new Analytics({ writeKey: KEY, host: HOST })"),
    Sdk(
        "@rudderstack/rudder-sdk-node",
        ("rudder_node.mjs",),
        "new RudderAnalytics(KEY, { dataPlaneUrl: HOST })",
    ),
    *PAGES,
]
every_sdk = pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.package)
RETRIES = [
    pytest.param(sdk, scenario, id=f"{scenario.name}-{sdk.package}")
    for sdk in SDKS
    for scenario in (THROTTLED, UNAVAILABLE, LOST)
]
every_page = pytest.mark.parametrize("sdk", PAGES, ids=lambda sdk: sdk.package)


@pytest.fixture(scope="session")
def trials(stack: Stack) -> Trials:
    return Trials(stack)


@every_sdk
def test_each_call_is_in_the_log_as_it_was_made(trials: Trials, sdk: Sdk) -> None:
    trial = trials.run(sdk, PLAIN)

    assert len(trial.stored) == len(trial.calls)
    for call in trial.calls:
        [stored] = trial.stored_as(call["type"])
        [sent] = trial.wire(call["type"])
        assert_holds_the_call(stored, call)
        assert_holds_the_wire(stored, sent)
        assert_dated_by_our_clock(stored, sent, *trial.between(call))
    assert trial.score == SCORE


@every_sdk
def test_the_sdk_itself_reports_success(trials: Trials, sdk: Sdk) -> None:
    trial = trials.run(sdk, PLAIN)

    assert trial.run.outcomes == dict.fromkeys(types_of(trial.calls))
    assert {exchange.status for exchange in trial.deliveries()} == {200}


@every_page
def test_a_page_asks_nobody_else_and_does_not_complain(trials: Trials, sdk: Sdk) -> None:
    trial = trials.run(sdk, PLAIN)

    assert trial.run.hosts == {trial.host}
    assert trial.run.complaints == []


@every_page
def test_what_a_page_sends_while_it_is_left_is_in_the_log(trials: Trials, sdk: Sdk) -> None:
    trial = trials.run(sdk, LEFT)

    [delivery] = trial.deliveries()
    assert len(delivery.events()) == len(trial.calls)
    for call in trial.calls:
        [stored] = trial.stored_as(call["type"])
        assert_holds_the_wire(stored, trial.wire(call["type"])[0])
    assert trial.score == SCORE


@pytest.mark.parametrize(("sdk", "scenario"), RETRIES)
def test_what_was_refused_is_sent_again_and_counts_once(trials: Trials, sdk: Sdk, scenario: Scenario) -> None:
    trial = trials.run(sdk, scenario)

    assert trial.run.outcomes == dict.fromkeys(types_of(trial.calls))
    [first] = trial.refused()
    for call in trial.calls:
        sent = trial.wire(call["type"])
        [message] = {event["messageId"] for event in sent}
        assert len(sent) == (2 if message in first.ids() else 1)
        for stored in trial.stored_as(call["type"]):
            assert stored["messageId"] == message
            # A browser SDK may have learnt who its visitor is before it tries again.
            assert identities_in(stored) in [identities_in(event) for event in sent]
            assert_holds_the_call(stored, {**call, **identities_in(stored)})
    assert trial.score == SCORE


@every_sdk
def test_an_sdk_that_reads_retry_after_waits_as_long(trials: Trials, sdk: Sdk) -> None:
    assert waited_as_told(trials.run(sdk, THROTTLED)) or not sdk.waits_as_told


@every_sdk
def test_a_wrong_key_is_told_and_not_tried_again(trials: Trials, sdk: Sdk) -> None:
    trial = trials.run(sdk, WRONG_KEY)

    assert {exchange.status for exchange in trial.deliveries()} == {401}
    assert [len(trial.wire(call["type"])) for call in trial.calls] == [1] * len(trial.calls)
    assert len(trial.run.failures()) == len(trial.calls)


def test_the_readme_has_the_table_of_what_was_seen(trials: Trials) -> None:
    table = draw_table(trials, SDKS)
    assert table in readme(), f"the table of SDKs in README.md is to be:\n{table}"


@every_sdk
def test_the_line_in_the_readme_is_the_one_that_the_driver_has(sdk: Sdk) -> None:
    assert f"| `{sdk.package}` | `{sdk.line}` |" in readme()
    script, *settings = sdk.driver
    source = (DRIVERS / (settings[0] if sdk.in_browser else script)).read_text(encoding="utf-8")
    if script == "python_sdk.py":
        assert sdk.line == f"analytics.{settings[1]} = HOST"
        assert settings[0].endswith(".analytics")
    else:
        as_driven = sdk.line.replace("HOST", "plan.host").replace("KEY", "plan.writeKey").removesuffix(" })")
        assert as_driven in source


def readme() -> str:
    return (find_project() / "README.md").read_text(encoding="utf-8")
