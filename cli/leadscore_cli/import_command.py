"""`leadscore import`: past events from files or S3 go the way of those that come live, and nobody is told of them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadscore.adapters.clock import Pace, utc_now
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.core.instants import DAY, from_datetime
from leadscore.usecases.importing import Counts, Importer, Rejected, Step, UnreadableSourceError, batch_size
from leadscore_cli.failures import CommandError
from leadscore_cli.import_progress import ProgressFile
from leadscore_cli.import_run import ImportRun, Origin, Standing, begin_run
from leadscore_cli.import_sources import FoundSource, Prefix, find_files, find_objects
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.project import find_project, local_state
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import err, out, report

_LOOK_SECONDS = 1.0
# All are in the counts, and with --rejects in the file.
_SHOWN_REJECTS = 20
_BEGINNINGS: dict[Origin, str] = {
    "new": "the state machine imports the objects",
    "under way": "following the import that is under way",
    "stopped": "going on with the import that stopped (--anew begins again)",
}


def import_history(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files or folders of NDJSON, plain or gzip; - for stdin; s3://..."),
    ],
    rejects: Annotated[
        Path | None, typer.Option(help="Append what was not taken, with the reason, to this file; personal data.")
    ] = None,
    progress: Annotated[Path | None, typer.Option(help="Where to keep how far it came.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Read again what was imported already.")] = False,
    events_per_second: Annotated[float, typer.Option(min=1, help="No more than this.")] = 500,
    most_queued: Annotated[
        int, typer.Option(min=1, help="Wait while more events than this wait to be scored: live ones are behind them.")
    ] = 2000,
    here: Annotated[bool, typer.Option("--here", help="Read S3 from this machine, not by the state machine.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Import past events: score them as if they had come when they were received, and alert nobody.

    Takes lines of JSON as SDKs send events, Segment's S3 archive and RudderStack's. Run it again to go on where it was
    interrupted; what is imported twice changes nothing. Exits with 1 where a line or a file was not taken.
    """
    target = target_of_project(stage)
    machine = _machine_for(target, sources, here=here)
    try:
        if machine is not None:
            if rejects is not None:
                raise CommandError("--rejects goes with --here: the state machine's worker logs lines by number alone")
            _import_by_machine(target, *machine, anew=anew, as_json=as_json)
            return
        kept = progress or _progress_path(stage)
        with ProgressFile.open(kept, target.deployment.events_queue_url, anew=anew) as noted:
            pace = Pace(events_per_second)
            done = _import_here(target, sources, noted, rejects, pace, batch_size(events_per_second), most_queued)
    except (ClientError, BotoCoreError, QueueError) as problem:
        raise CommandError(f"the import stopped: {problem}", "run it again to go on where it stopped") from problem
    _tell(target, done.counts, done.sources, done.skipped, as_json=as_json)


def _progress_path(stage: str) -> Path:
    """Return where progress is kept: that of the local stage goes when the stage does."""
    folder = local_state(find_project()) if stage == LOCAL_STAGE else Path(typer.get_app_dir("leadscore"))
    return folder / f"import-{stage}.ndjson"


@dataclass(slots=True)
class _Done:
    """What was done: sources that were read, those that had been before, and what became of the lines."""

    sources: int = 0
    skipped: int = 0
    shown: int = 0
    counts: Counts = field(default_factory=Counts)


def _machine_for(target: Target, sources: Sequence[str], *, here: bool) -> tuple[str, Prefix] | None:
    """Return the state machine for what is named and its part of the bucket, None where this machine is to read."""
    prefixes = [where for where in map(Prefix.parse, sources) if where is not None]
    names = target.deployment
    if not prefixes or here or names.import_machine_arn is None:
        return None
    if len(sources) != 1 or prefixes[0].bucket != names.import_bucket:
        raise CommandError(
            f"the stage imports one prefix of s3://{names.import_bucket} at a time: --here reads others from here"
        )
    return names.import_machine_arn, prefixes[0]


def _import_here(
    target: Target,
    sources: Sequence[str],
    noted: ProgressFile,
    rejects: Path | None,
    pace: Pace,
    at_once: int,
    most_queued: int,
) -> _Done:
    done = _Done()
    with ExitStack() as opened:
        queue = SqsQueue(opened.enter_context(target.sqs()), target.deployment.events_queue_url)
        found = list(_find(opened, target, sources))
        kept = opened.enter_context(_kept_rejects(rejects))
        bar = opened.enter_context(_Bar.of_bytes(found))

        def wait(number: int) -> None:
            pace.wait(number)
            while queue.count_waiting() > most_queued:
                bar.say("waiting for the queue")
                time.sleep(_LOOK_SECONDS)

        importer = Importer(
            queue=queue,
            clock=lambda: from_datetime(utc_now()),
            retention=target.deployment.event_retention_days * DAY,
            pace=wait,
            at_once=at_once,
        )
        try:
            for source in found:
                _import_source(importer, source, noted, done, bar, kept)
        except KeyboardInterrupt:
            report("interrupted: the same command goes on where it stopped")
            raise
    return done


def _import_source(
    importer: Importer, source: FoundSource, noted: ProgressFile, done: _Done, bar: _Bar, kept: IO[str] | None
) -> None:
    reached = noted.of(source)
    if reached.done:
        done.skipped += 1
        bar.advance(source.size or 0)
        return
    place, is_whole = reached.place, True
    try:
        for step in importer.run(source.watched(bar.advance), place):
            place = step.place
            is_whole = is_whole and all(each.line for each in step.rejected)
            _take(step, source, done, bar, kept)
            noted.note(source, place)
    except UnreadableSourceError as problem:
        lost = Rejected(0, "unreadable_file", str(problem))
        _take(Step(place, Counts(rejected={lost.code: 1}), [lost]), source, done, bar, kept)
        return
    done.sources += 1
    noted.note(source, place, done=is_whole)


def _take(step: Step, source: FoundSource, done: _Done, bar: _Bar, kept: IO[str] | None) -> None:
    done.counts += step.counts
    for each in step.rejected:
        if done.shown < _SHOWN_REJECTS:
            done.shown += 1
            report(f"{source.name}:{each.line}: {each.code}: {each.message}")
        if kept is not None:
            text = None if each.text is None else each.text.decode("utf-8", "replace")
            told = {"source": source.name, "line": each.line, "code": each.code, "reason": each.message, "text": text}
            kept.write(json.dumps(told) + "\n")
    bar.say(f"{done.counts.accepted:,} events")


def _find(opened: ExitStack, target: Target, sources: Sequence[str]) -> Iterator[FoundSource]:
    for text in sources:
        where = Prefix.parse(text)
        if where is None:
            yield from find_files([text])
        else:
            yield from find_objects(opened.enter_context(target.s3()), where)


@contextmanager
def _kept_rejects(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    try:
        path.touch(mode=0o600)
        file = path.open("a", encoding="utf-8", buffering=1)
    except OSError as problem:
        raise CommandError(f"the rejects cannot be written: {problem}") from problem
    with file:
        yield file


def _import_by_machine(target: Target, machine: str, where: Prefix, *, anew: bool, as_json: bool) -> None:
    with target.states() as states:
        run = begin_run(states, machine, where.prefix, anew=anew)
        report(_BEGINNINGS[run.origin])
        standing = _follow(run)
    if not standing.is_complete:
        raise CommandError(f"the import stopped ({standing.status}): run it again to go on", standing.reason)
    _tell(target, standing.counts, standing.objects, 0, as_json=as_json, logs="`leadscore logs importer` has each line")


def _follow(run: ImportRun) -> Standing:
    with _Bar.of_objects() as bar:
        try:
            standing = run.look()
            while not standing.is_over:
                bar.show(standing.objects, standing.all_objects)
                time.sleep(_LOOK_SECONDS)
                standing = run.look()
        except KeyboardInterrupt:
            report("the import goes on without you: the same command follows it again")
            raise
    return standing


@dataclass(slots=True)
class _Bar:
    """A progress bar on the error stream, where that is a terminal."""

    progress: Progress
    task: TaskID

    @classmethod
    def of_bytes(cls, found: Sequence[FoundSource]) -> _Bar:
        """Return one over the bytes of all sources, as stored."""
        sizes = [source.size for source in found]
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        return cls._new(DownloadColumn(), total)

    @classmethod
    def of_objects(cls) -> _Bar:
        """Return one over objects, of which the number is not known yet."""
        return cls._new(MofNCompleteColumn(), None)

    @classmethod
    def _new(cls, amount: DownloadColumn | MofNCompleteColumn, total: int | None) -> _Bar:
        columns = (TextColumn("importing"), BarColumn(), amount, TextColumn("{task.fields[said]}"), TimeElapsedColumn())
        progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        return cls(progress, progress.add_task("importing", total=total, said=""))

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(self, number: int) -> None:
        self.progress.advance(self.task, number)

    def say(self, words: str) -> None:
        self.progress.update(self.task, said=words)

    def show(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total or None)


def _tell(target: Target, counts: Counts, sources: int, skipped: int, *, as_json: bool, logs: str = "") -> None:
    if as_json:
        out.print_json(json.dumps({**counts.to_dict(), "sources": sources, "skipped_sources": skipped}))
    else:
        out.print(Text(f"{counts.accepted:,} events of {sources:,} files or objects are on their way to be scored"))
        days = target.deployment.event_retention_days
        hints = {
            f"{counts.expired:,} left out: received longer ago than the {days} days that the log keeps": counts.expired,
            f"{skipped:,} files had been imported before: --anew reads them again": skipped,
        }
        for hint in (hint for hint, count in hints.items() if count):
            out.print(Text(hint, style="dim"))
    if counts.all_rejected:
        by_code = [f"{count:,} {code}" for code, count in Counter(counts.rejected).most_common()]
        raise CommandError(
            f"{counts.all_rejected:,} lines or files were not imported", "\n".join([*by_code, logs]).strip()
        )
