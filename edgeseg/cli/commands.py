"""The list of commands, in the order of the path that a model takes."""

from __future__ import annotations

from typing import Annotated

import typer

import edgeseg
from edgeseg.cli.advise import advise
from edgeseg.cli.batch import batch
from edgeseg.cli.bench import bench
from edgeseg.cli.build_engine import build_engine
from edgeseg.cli.calibrate import calibrate
from edgeseg.cli.data import app as data_app
from edgeseg.cli.demo import demo
from edgeseg.cli.doctor import doctor
from edgeseg.cli.evaluate import evaluate
from edgeseg.cli.export import export
from edgeseg.cli.history import history
from edgeseg.cli.import_onnx import import_onnx
from edgeseg.cli.inspect import inspect
from edgeseg.cli.keys import app as keys_app
from edgeseg.cli.live import live
from edgeseg.cli.models import models
from edgeseg.cli.once import demand_once
from edgeseg.cli.package import package
from edgeseg.cli.protocol import protocol
from edgeseg.cli.registry_options import RegistryCommand
from edgeseg.cli.run import run
from edgeseg.cli.sign import sign
from edgeseg.cli.study import study
from edgeseg.cli.train import train
from edgeseg.cli.verify import verify
from edgeseg.cli.verify_signature import verify_signature

app = typer.Typer(
    name="edgeseg",
    help="From polyp images to a measured, checked, real-time segmentation engine. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
        print(edgeseg.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass


app.command("demo")(demo)
app.command("doctor")(doctor)
app.add_typer(data_app, name="data")
app.command("train")(train)
app.command("study")(study)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.command("import-onnx")(import_onnx)
app.command("calibrate", cls=RegistryCommand)(calibrate)
app.command("build-engine", cls=RegistryCommand)(build_engine)
app.command("advise")(advise)
app.command("inspect")(inspect)
app.command("run")(run)
app.command("live")(live)
app.command("batch")(batch)
app.command("bench")(bench)
app.command("protocol")(protocol)
app.command("verify")(verify)
app.command("history")(history)
app.add_typer(keys_app, name="keys")
app.command("sign")(sign)
app.command("verify-signature")(verify_signature)
app.command("package", cls=RegistryCommand)(package)
app.command("models")(models)
demand_once(app)
