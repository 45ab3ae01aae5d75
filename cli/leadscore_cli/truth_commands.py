"""`leadscore verify` and `leadscore rebuild`: is everything as the log says, and if not, make it so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.erasing import DynamoGraves
from leadscore.core.identity import display_id
from leadscore.usecases.rebuilding import Found, Page
from leadscore.usecases.records import StoredIdentity
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.rebuild_run import Origin, RebuildRun, Standing, begin_run
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out, report
from leadscore_cli.verification import Verification, open_verifier

_LOOK_SECONDS = 1.0
# The function's own time and what comes on top.
_ONE_LEAD_SECONDS = 330
_NO_LEAD = "no such lead"
_BEGINNINGS: Mapping[Origin, str] = {
    "new": "rebuilding all leads",
    "under way": "following the rebuild that is under way",
    "stopped": "going on behind the rebuild that stopped: what it had done is not looked at again (--anew does)",
}

LeadArgument = Annotated[str | None, typer.Argument(metavar="[ID]", help="Any id of one lead.")]


def verify(
    lead_id: LeadArgument = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many leads, chosen at random.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every lead.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Compare stored leads with what their logs say; exit with 1 where any differs. Writes nothing."""
    if [lead_id is not None, sample is not None, everyone].count(True) != 1:
        raise CommandError("verify what? An ID, --sample N or --all")
    with open_verifier(target_of_project(stage)) as (verifier, items):
        if lead_id is not None:
            done = verifier.verify_named(lead_id)
            if done is None:
                raise CommandError(_NO_LEAD)
        else:
            with _bar("verifying", None if sample else items) as bar:
                done = verifier.verify_sample(sample, bar.advance) if sample else verifier.verify_all(bar.advance)
    if as_json:
        out.print_json(json.dumps(_verification_json(done)))
    else:
        _print_verification(done)
    if not done.is_clean:
        raise typer.Exit(1)


def rebuild(
    lead_id: LeadArgument = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every lead, by a state machine.")] = False,
    outdated: Annotated[
        bool, typer.Option("--outdated", help="With --all: no more than bring leads under the active ruleset.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="With --all: do not go on with a run that stopped.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Make stored leads what their logs say, and tell every difference there was."""
    if (lead_id is None) != everyone or ((outdated or anew) and not everyone):
        raise CommandError("rebuild what? An ID, or --all (with --outdated, --anew)")
    target = target_of_project(stage)
    if lead_id is not None:
        _rebuild_one(target, lead_id, as_json=as_json)
    else:
        _rebuild_all(target, outdated_only=outdated, anew=anew, as_json=as_json)


def _rebuild_one(target: Target, lead_id: str, *, as_json: bool) -> None:
    function = target.deployment.functions["rebuild"]
    try:
        with target.lambdas(_ONE_LEAD_SECONDS) as lambdas:
            answer = lambdas.invoke(FunctionName=function, Payload=json.dumps({"lead": lead_id}).encode())
            content = json.loads(answer["Payload"].read())
    except (ClientError, BotoCoreError) as problem:
        raise CommandError(f"the lead cannot be rebuilt: {problem}") from problem
    if answer.get("FunctionError"):
        raise CommandError("the lead cannot be rebuilt: `leadscore logs rebuild` says why")
    rebuilt: Any = content["rebuilt"]
    if rebuilt is None:
        raise CommandError(_NO_LEAD)
    if as_json:
        out.print_json(json.dumps(rebuilt))
    else:
        _print_differences((rebuilt["lead"], each) for each in (*rebuilt["found"], *rebuilt["left"]))
        report(_told(len(rebuilt["found"]), "difference") + " rebuilt" if rebuilt["found"] else "as its log says")
    if any(each.get("left", True) for each in (*rebuilt["found"], *rebuilt["left"])):
        raise CommandError("not everything could be rebuilt")


def _rebuild_all(target: Target, *, outdated_only: bool, anew: bool, as_json: bool) -> None:
    names = target.deployment
    with target.states() as states, target.dynamodb(1) as dynamodb:
        run = begin_run(states, names.rebuild_machine_arn, utc_now(), outdated_only=outdated_only, anew=anew)
        report(_BEGINNINGS[run.origin])
        items = dynamodb.describe_table(TableName=names.table)["Table"]["ItemCount"]
        standing = follow_run(run, items)
        graves = DynamoGraves(dynamodb, names.table, pause)
        found = [_with_names(graves, each) for each in run.found()]
    if as_json:
        out.print_json(json.dumps({**_standing_json(standing), "differences": found}))
    else:
        _print_differences((each["lead"], each) for each in found)
        print_standing(standing)
    if not standing.is_complete:
        raise CommandError(f"the rebuild stopped ({standing.status}): run it again to go on", standing.reason)
    if any(each["left"] for each in found):
        raise CommandError("not everything could be rebuilt: `leadscore logs rebuild` says why")


def follow_run(run: RebuildRun, items: int) -> Standing:
    """Show how a run comes on until it is over, and return what it came to."""
    with _bar("rebuilding", items) as bar:
        try:
            standing = run.look()
            while not standing.is_over:
                bar.show(standing.items, standing.leads, standing.written)
                time.sleep(_LOOK_SECONDS)
                standing = run.look()
        except KeyboardInterrupt:
            err.print(Text("the rebuild goes on without you: the same command follows it again", style="dim"))
            raise
        bar.show(standing.items, standing.leads, standing.written)
    return standing


@dataclass(slots=True)
class _Bar:
    """A progress bar over the items of a table, of which AWS knows the number only roughly."""

    progress: Progress
    task: Any
    items: int = 0

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(self, page: Page, done: Verification) -> None:
        self.items += page.items
        self.show(self.items, done.leads, len(done.differences))

    def show(self, items: int, leads: int, different: int) -> None:
        total = self.progress.tasks[0].total
        known = None if total is None else max(total, items)
        self.progress.update(self.task, completed=items, total=known, leads=leads, different=different)


def _bar(what: str, items: int | None) -> _Bar:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("items, {task.fields[leads]} leads, {task.fields[different]} different"),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns, console=err, transient=True)
    return _Bar(progress, progress.add_task(what, total=items, leads=0, different=0))


def _with_names(graves: DynamoGraves, found: Found) -> dict[str, Any]:
    """Return a difference with the ids of people where they are still to be found by their pseudonyms."""
    told = found.to_dict()
    for field in ("lead", "identity"):
        stored = graves.look_up(str(told[field]))
        if isinstance(stored, StoredIdentity):
            told[field] = display_id(stored.identity) if field == "lead" else stored.identity
    return told


def _print_differences(differences: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    shown = None
    for lead, each in differences:
        if lead != shown:
            out.print(Text(lead, "bold"), soft_wrap=True)
            shown = lead
        where = f"{each['identity']} {each['path']}".strip()
        values = f": {each['stored']}, by the log {each['expected']}" if each["stored"] else ""
        left = "  (not rebuilt)" if each.get("left") else ""
        out.print(Text.assemble(("  " + each["kind"], "red"), f"  {where}{values}{left}"), soft_wrap=True)


def _print_verification(done: Verification) -> None:
    _print_differences((display_id(lead), asdict(each)) for lead, each in done.differences)
    different = len({lead for lead, each in done.differences if each.is_error})
    out.print(Text(f"{_told(done.leads, 'lead')} verified, {different} different from the log"))
    hints = {
        f"{done.counts['outdated']} under another ruleset: rebuild --all --outdated": done.counts["outdated"],
        f"{done.counts['unjoined']} ids that the ruleset would join: rebuild --all": done.counts["unjoined"],
        f"{done.busy} being written all the time: not compared": done.busy,
        f"{done.strays} logs of nobody": done.strays,
    }
    for hint in (hint for hint, count in hints.items() if count):
        out.print(Text(hint, style="dim"))


def print_standing(standing: Standing) -> None:
    """Show what a run came to."""
    out.print(Text(f"{_told(standing.leads, 'lead')} verified, {standing.written} of them differed"))
    for kind, count in sorted(standing.counts.items()):
        out.print(Text(f"  {count} {kind}", style="dim"))
    if len(standing.rulesets) > 1:
        report("the ruleset changed meanwhile: run it again for the leads that came first")


def _verification_json(done: Verification) -> dict[str, object]:
    return {
        "clean": done.is_clean,
        "leads": done.leads,
        "busy": done.busy,
        "strays": done.strays,
        "counts": dict(done.counts),
        "differences": [{"lead": display_id(lead), **asdict(each)} for lead, each in done.differences],
    }


def _standing_json(standing: Standing) -> dict[str, object]:
    return {
        "complete": standing.is_complete,
        "leads": standing.leads,
        "written": standing.written,
        "counts": dict(standing.counts),
        "rulesets": sorted(standing.rulesets),
    }


def _told(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
