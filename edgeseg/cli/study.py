"""`edgeseg study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, table, track
from edgeseg.errors import UsageError
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.train.studies.running import StudyRun
    from edgeseg.train.studies.study_page import StudyResult


def study(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A study of recipes/studies, or a study file (TOML).")
    ],
    data: Annotated[Path, typer.Option(metavar="DATA", help="Data set with the splits train and validation.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The study's folder; the same command again goes on in it.")],
    full: Annotated[bool, typer.Option("--full", help="The full form: all choices, all seeds, all epochs.")] = False,
    prune: Annotated[bool, typer.Option(help="Give hopeless trials up, where the study says when.")] = True,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A recipe key that all trials have besides. Repeatable."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://USER@HOST:PORT/DATABASE: the trials are shared by machines."),
    ] = None,
    study_name: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help="With --storage: the study's name there. Default: NAME, or FILE's without .toml."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare training choices: trials over seeds, then a table, curves, sample masks and a verdict in words.

    Several processes given the same DIR, or the same --storage on any number of machines, share the trials.
    """
    from edgeseg.optional import require

    require("torch")
    require("optuna")
    from edgeseg.train.recipe_settings import parse_setting
    from edgeseg.train.studies.postgresql_storage import PostgresqlStorage
    from edgeseg.train.studies.running import open_study, run_trials
    from edgeseg.train.studies.study_file import read_study
    from edgeseg.train.studies.study_page import write_results

    if study_name is not None and storage is None:
        raise UsageError(
            "--study-name is the study's name on a server",
            expected="--storage URL beside it",
            next_command="the same command without --study-name",
        )
    settings = dict(parse_setting(text) for text in set_ or ())
    server = (
        None if storage is None else PostgresqlStorage(storage, study_name or Path(name).name.removesuffix(".toml"))
    )
    run = open_study(
        read_study(name), data, out, full=full, prune=prune, settings=settings, server=server, say=say, track=track
    )
    say(f"{run.study.title}: {len(run.ledger.wanted())} trials, {len(run.ledger.outcomes())} of them are over")
    try:
        run_trials(run, say, track)
    except KeyboardInterrupt:
        say("the same command goes on where this one stopped")
        raise
    result = write_results(run)
    emit(result, as_json, _text(run, result))


def _text(run: StudyRun, result: StudyResult) -> str:
    import csv

    from edgeseg.train.studies.study_page import PAGE, TABLE

    with (run.out / TABLE).open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    lines = [table(result.title, columns, rows), *(f"  - {sentence}" for sentence in result.verdict)]
    return "\n".join([*lines, f"page: {quoted(run.out / PAGE)}"])
