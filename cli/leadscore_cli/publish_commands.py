"""`leadscore criteria push`, `history` and `rollback`: a ruleset becomes the active one, and can be taken back.

    file --valid?--> dry run on the leads there are --yes?--> published by the API --> the re-score is followed

Invariant: what was shown is what is published: where another ruleset became active meanwhile, nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore import InvalidRuleset, Ruleset, parse_ruleset
from leadscore.adapters.publications import DynamoLedger
from leadscore.adapters.rulesets import published_documents
from leadscore_cli.api_client import ApiError, PublicationFields, Published
from leadscore_cli.diff_command import compare_on_stage, print_past, print_report, read_active, try_past
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.rebuild_run import open_run
from leadscore_cli.ruleset_files import RulesetFile, read_publishable_text
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import out, report
from leadscore_cli.truth_commands import follow_run, print_standing

_MOVERS = 10
_SERVERS_FAULT = 500
WhyOption = Annotated[str, typer.Option(help="One line for the history.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SampleOption = Annotated[int | None, typer.Option(min=1, help="Compare so many leads instead of all.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run/--no-dry-run", help="Show first who would change tier.")]


def push(
    file: RulesetFile,
    why: WhyOption = "",
    yes: YesOption = False,
    dry_run: DryRunOption = True,
    sample: SampleOption = None,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Publish a ruleset in one step, after showing what it would change; then score all leads again.

    People are not alerted by that. What failed in the middle is completed by the same command.
    """
    ruleset = read_publishable_text(file.read(), file.name)
    target = target_of_project(stage)
    with target.api() as api:
        active = api.publications(limit=1)["active"]["version"]
        if active == ruleset.version:
            report(f"{ruleset.version} is active already")
        else:
            _show(target, active, ruleset, sample, dry_run=dry_run)
            _ask(f"Publish {ruleset.version} in place of {active or 'what cannot be read'}?", yes=yes)
        told = _published(lambda: api.publish(ruleset.document, why, active))
    _follow(target, told)


def history(
    limit: Annotated[int, typer.Option(min=1, max=100, help="So many, the newest.")] = 20,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Show who published which ruleset, when and why, newest first."""
    with target_of_project(stage).api() as api:
        page = api.publications(limit=limit)
    if as_json:
        out.print_json(json.dumps(page))
        return
    active = page["active"]
    out.print(_history_table(page["publications"], active["version"]))
    if all(each["version"] != active["version"] for each in page["publications"]):
        out.print(Text(f"active: {active['version'] or 'no ruleset'} since {active['since']}, not published by a push"))
    if page["next_cursor"] is not None:
        out.print(Text("there are older ones: --limit", style="dim"))


def rollback(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="One of `history`, or its first 4 digits or more.")],
    why: WhyOption = "",
    yes: YesOption = False,
    dry_run: DryRunOption = True,
    sample: SampleOption = None,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Go back to a ruleset that was published, to the byte; it is a publication like any other."""
    target = target_of_project(stage)
    with target.api() as api:
        active = api.publications(limit=1)["active"]["version"]
        ruleset = _find_published(target, version)
        _show(target, active, ruleset, sample, dry_run=dry_run)
        _ask(f"Go back to {ruleset.version} from {active or 'what cannot be read'}?", yes=yes)
        told = _published(lambda: api.roll_back(ruleset.version, why, active or None))
    _follow(target, told)


def _show(target: Target, active: str, new: Ruleset, sample: int | None, *, dry_run: bool) -> None:
    if not dry_run:
        return
    if not active:
        report("what is published now cannot be read: there is nothing to compare with")
        return
    old = read_active(target)
    if old.version != active:
        raise CommandError("another ruleset was published at this moment: run it again")
    done = compare_on_stage(target, old, new, sample)
    tried = try_past(target, done) if sample is None else None
    print_report(done, _MOVERS)
    if tried is not None:
        print_past(tried)


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _published(publish: Callable[[], Published]) -> Published:
    try:
        return publish()
    except ApiError as error:
        if error.status < _SERVERS_FAULT:
            raise
        raise CommandError(f"{error}", "the same command again completes what was begun") from error


def _follow(target: Target, told: Published) -> None:
    done = told["publication"]
    report(f"{done['version']} is active since {done['at']}; all leads are scored again, and nobody is alerted by that")
    names = target.deployment
    try:
        with target.states() as states, target.dynamodb(1) as dynamodb:
            items = dynamodb.describe_table(TableName=names.table)["Table"]["ItemCount"]
            standing = follow_run(open_run(states, told["rescore"]), items)
    except (BotoCoreError, ClientError) as problem:
        raise CommandError(f"it is published, but the re-score cannot be followed: {problem}") from problem
    print_standing(standing)
    if not standing.is_complete:
        message = f"it is published, but the re-score stopped ({standing.status}): `leadscore rebuild --all --outdated`"
        raise CommandError(message, standing.reason)
    if failed := standing.counts["failed"]:
        raise CommandError(
            f"it is published, but {failed} lead(s) were not scored again: `leadscore rebuild --all --outdated`",
            "`leadscore logs rebuild` says why",
        )


def _find_published(target: Target, version: str) -> Ruleset:
    """Return the published ruleset whose version begins so, from the history or from the parameter's own."""
    names = target.deployment
    try:
        with target.dynamodb(1) as dynamodb, target.ssm() as ssm:
            kept = DynamoLedger(dynamodb, names.table).find_documents(version)
            documents = kept or list(published_documents(ssm, names.ruleset_parameter))
    except (BotoCoreError, ClientError) as problem:
        raise CommandError(f"the published rulesets cannot be read: {problem}") from problem
    found = {ruleset.version: ruleset for ruleset in map(_parse, documents) if ruleset is not None}
    matching = [ruleset for known, ruleset in found.items() if known.startswith(version)]
    if len(matching) != 1:
        reason = "several versions begin so" if matching else "no published ruleset has that version"
        raise CommandError(f"{version}: {reason}: see `leadscore criteria history`")
    return matching[0]


def _parse(document: str) -> Ruleset | None:
    """Return None for what an older release took and this one does not."""
    try:
        return parse_ruleset(document)
    except InvalidRuleset:
        return None


def _history_table(publications: list[PublicationFields], active: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("", "Version", "When", "By", "Why"):
        table.add_column(heading, overflow="fold")
    is_told = False
    for each in publications:
        is_active = not is_told and each["version"] == active and each["status"] == "published"
        is_told = is_told or is_active
        state = "" if each["status"] == "published" else f" ({each['status']})"
        table.add_row(
            "active" if is_active else "",
            each["version"],
            each["at"],
            escape(each["by"].rpartition("/")[2] or each["kind"]),
            escape((each["why"] or each["kind"]) + state),
            style="bold" if is_active else None,
        )
    return table
