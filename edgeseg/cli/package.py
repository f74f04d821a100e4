"""`edgeseg package`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.archive_members import ARCHIVE_SUFFIX
from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit, table, track
from edgeseg.cli.registry_options import MethodOption
from edgeseg.files import check_writable
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.export.package.facts import CardFacts, Clip


ASKED_OF_A_RUN = ("data", "out", "terms")
"""Options without which a RUN makes no package."""
FOR_A_RUN = (
    "data",
    "terms",
    "images",
    "method",
    "trust",
    "threshold",
    "negatives",
    "positives",
    "others",
    "seeds",
    "never_shown",
)
FOR_AN_ARCHIVE = ("licence", "verdicts")


def package(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="RUN folder to make a package of, or a package to put into one file; "
            "for the servers below also an engine or an .onnx file.",
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data set with the splits train, validation and test; a RUN needs it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|NAME.edgeseg",
            help="Of a RUN: package folder to make; its name is the model's name. Of a package: the one file to make.",
        ),
    ] = None,
    terms: Annotated[
        str | None, typer.Option(help="Terms of use, given those of the training data, for the card; a RUN needs them.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images of the train split to calibrate on.")] = 256,
    method: MethodOption = "max",
    trust: TrustOption = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="T|FILE", help="Threshold that becomes the graph's 0.5: a number, or threshold.json of this RUN."
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE[@FRAMES]", help="Images or a clip without a polyp, to put false alarms on the card."
        ),
    ] = None,
    positives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE[@FRAMES]",
            help="Images or a clip that show a polyp, to put on the card how often it is found.",
        ),
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Further data set, on whose test split the card tells figures. Repeatable."),
    ] = None,
    seeds: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Training of the same recipe with another seed, for the card. Repeatable."),
    ] = None,
    never_shown: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The kinds of pictures that training had none of, for the card."),
    ] = None,
    licence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Terms of the weights, for NAME.edgeseg; else the package's LICENSE.md."),
    ] = None,
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(
            "--verdict", metavar="FILE", help="Verdict to put into NAME.edgeseg, with its signature. Repeatable."
        ),
    ] = None,
    triton: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Model repository for Triton Inference Server to make: frames in, masks out."),
    ] = None,
    deepstream: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for DeepStream's nvinfer to make: configuration, labels, a float32-input ONNX."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a model package out of a RUN, one file of a package, and what Triton or DeepStream serves a model from."""
    from edgeseg.packages import find_model

    is_run = find_model(model).kind == "run"
    _check_usage(context, is_run)
    for path in (triton, deepstream):
        if path is not None:
            check_writable(path)
    document: dict[str, Any] = {}
    lines: list[str] = []
    if is_run:
        assert data is not None and out is not None and terms is not None
        from edgeseg.optional import require

        require("torch")
        from edgeseg.export.package.packaging import PackageOptions, package_run

        clips = [_clip(text, False) for text in negatives or ()] + [_clip(text, True) for text in positives or ()]
        further = tuple(others or ()), tuple(seeds or ()), never_shown, method, tuple(trust or ())
        facts = package_run(model, out, PackageOptions(data, terms, images, threshold, tuple(clips), *further), track)
        document = _document(facts, out)
        lines.append(f"{_figures(facts, out)}\nnext: edgeseg build-engine {quoted(out)} --precision int8")
    elif out is not None:
        from edgeseg.export.package.archiving import archive_package

        manifest = archive_package(model, out, licence, verdicts or ())
        document = {"archive": str(out), **manifest.to_dict()}
        lines.append(f"{out}: {manifest.name} in one file, with {', '.join(manifest.files)}")
        lines.append(f"next: edgeseg sign {quoted(out)} --key FILE.key")
    served, words = _served(out if is_run and out is not None else model, triton, deepstream)
    emit({**document, **served}, as_json, "\n".join([*lines, *words]))


def _check_usage(context: typer.Context, is_run: bool) -> None:
    named = context.params
    makes_archive = not is_run and named["out"] is not None
    for names, allowed, owner in ((FOR_A_RUN, is_run, "a RUN"), (FOR_AN_ARCHIVE, makes_archive, "--out NAME.edgeseg")):
        sources = {name: context.get_parameter_source(name) for name in names}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if given and not allowed:
            context.fail(f"these work with {owner} only: {', '.join(_flag(name) for name in given)}")
    missing = [_flag(name) for name in ASKED_OF_A_RUN if named[name] is None]
    if is_run and missing:
        context.fail(f"a package of a RUN needs {', '.join(missing)}")
    if is_run and named["out"].suffix == ARCHIVE_SUFFIX:
        context.fail("a RUN becomes a folder first; edgeseg package FOLDER --out NAME.edgeseg makes one file of it")
    if not is_run and not any(named[name] for name in ("out", "triton", "deepstream")):
        context.fail("name what to write: --out NAME.edgeseg, --triton DIR or --deepstream DIR")


def _flag(name: str) -> str:
    return "--verdict" if name == "verdicts" else f"--{name.replace('_', '-')}"


def _served(model: Path, triton: Path | None, deepstream: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Write the servers' folders; give what `--json` and what a person is told."""
    document: dict[str, Any] = {}
    lines = []
    if triton is not None:
        from edgeseg.export.serving.served_model import served_model
        from edgeseg.export.serving.triton_repository import write_triton_repository

        served = served_model(model)
        names = write_triton_repository(served, triton)
        document["triton"] = {"repository": str(triton), "backend": served.backend, "models": names}
        lines.append(f"{triton}: {names[0]}, frames of any size to masks, by {', '.join(names[1:])}")
        if served.server.of_one_gpu:
            lines.append("the plan is valid on the GPU that it was built on alone")
        lines.append(f"next: tritonserver --model-repository {quoted(triton.absolute())}")
    if deepstream is not None:
        from edgeseg.export.serving.deepstream import write_deepstream

        config = write_deepstream(model, deepstream)
        document["deepstream"] = {"config": str(config)}
        lines.append(f"{config}: for nvinfer, which builds its own engine; no verdict of edgeseg holds for that engine")
    return document, lines


def _figures(facts: CardFacts, out: Path) -> str:
    columns = ["precision", "mean Dice", "mean IoU", "INT8 convolutions"]
    rows = [
        [
            row.precision,
            f"{row.evaluation.mean_dice:.4f}",
            f"{row.evaluation.mean_iou:.4f}",
            f"{row.int8_convolutions} of {row.convolutions}",
        ]
        for row in facts.rows
    ]
    return table(str(out), columns, rows)


def _document(facts: CardFacts, out: Path) -> dict[str, Any]:
    return {
        "package": str(out),
        "parameters": facts.parameters,
        "multiply_adds": facts.multiply_adds,
        "precisions": {row.precision: row.evaluation.to_dict() for row in facts.rows},
        "clips": {
            marked.clip.name: {row.precision: row.clips[index].share for row in facts.rows}
            for index, marked in enumerate(facts.rows[0].clips)
        },
        "others": {
            name: {row.precision: row.others[index].to_dict() for row in facts.rows}
            for index, name in enumerate(facts.others)
        },
        "seeds": {row.seed: row.mean_dice for row in facts.seeds},
    }


def _clip(text: str, shows_polyp: bool) -> Clip:
    from edgeseg.export.package.facts import Clip
    from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
    from edgeseg.runtime.file.frame_choice import split_choice

    path, frames = split_choice(text)
    return Clip(UnlabelledSource(path, frames), shows_polyp)
