"""`mfspark tune` and `mfspark validate`: models chosen, and measured, beside the nights."""

from __future__ import annotations

import csv
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.text import Text

from mfspark.cli.command import NIGHTS, Reply, command
from mfspark.cli.stages import reported, requested
from mfspark.cli.terminal import cell, console, table
from mfspark.errors import ConfigError, StoppedError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mfspark.pipeline.request import Request
    from mfspark.pipeline.tuning.outcome import TunedModel
    from mfspark.pipeline.tuning.run import Tuning
    from mfspark.pipeline.tuning.trials import Trial
    from mfspark.pipeline.validation.run import Validation, ValidationFigure
    from mfspark.queries.report.trials_chart import TrialPoints

app = typer.Typer()

_SHOWN = 10  # trials of each model


@command(app, panel=NIGHTS, given=requested("run"))
def tune(
    request: Request,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="How long, all models together. Default: 10.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Trials of each model, however long they take.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="ndcg or rmse. Default: each model by what it is for."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the chosen options are written.")
    ] = Path("tuned.toml"),
) -> Reply:
    """Look for better options of the models, on a validation part of the training ratings.

    The test part is not looked at. The file that is written goes over the configuration of a night:
    mfspark run --config nightly.toml --config tuned.toml. The same command goes on with the trials
    of an interrupted one, or adds to them where it has more time.
    """
    from mfspark.cli import answers
    from mfspark.pipeline.tuning.outcome import tuned_toml
    from mfspark.pipeline.tuning.run import tune as look
    from mfspark.queries.report.trials_chart import trials_chart

    given = {"minutes": minutes, "trials": trials, "metric": metric}
    options = [f"tune.{key}={value}" for key, value in given.items() if value is not None]
    asked = request.dated()
    request = replace(asked, overrides=(*asked.overrides, *options))
    config = request.load()
    request.check(config)
    _check_replaceable(out)
    with reported("tune", config, request.date()) as progress:
        tuning = look(request, progress)
    out.write_text(tuned_toml(tuning.models, tuning.run_date, tuning.what), encoding="utf-8")
    plot = out.with_suffix(".svg")
    plot.write_text(trials_chart([_points(model) for model in tuning.models]), encoding="utf-8")
    answer = answers.TuneAnswer.model_validate(
        {
            **vars(tuning),
            "chosen_on": tuning.what,
            "models": [_fields(model) for model in tuning.models],
            "written": [str(out), str(plot)],
        }
    )
    night = asked.line("--config", str(out)).of("run")
    again = request.line().of("tune", "--out", str(out))
    stopped = StoppedError(f"interrupted; the same command goes on from here: {again}")
    return Reply(
        answer,
        lambda: _print_tuning(tuning, out, plot, night),
        stopped if tuning.interrupted else None,
    )


@command(app, panel=NIGHTS, given=requested("run"))
def validate(
    request: Request,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="folds (k-fold), windows (rolling, by time) or users (held out whole).",
        ),
    ] = "folds",
    folds: Annotated[
        int | None, typer.Option("--folds", help="How many parts. Default: evaluation.folds, 5.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where all figures are written, as CSV.")
    ] = Path("validation.csv"),
) -> None:
    """Measure the models on several parts of the ratings, one after the other.

    Nothing is published. A night measures on one test part; this says how much its figures depend
    on which it was (folds), on the time (windows), and what they are for people whom no model has
    seen (users).
    """
    from mfspark.config.spaces import near
    from mfspark.pipeline.validation.protocols import ProtocolName
    from mfspark.pipeline.validation.run import validate as measure

    if protocol not in get_args(ProtocolName):
        raise ConfigError(
            f"there is no protocol '{protocol}'; {near(protocol, get_args(ProtocolName))}",
            "--protocol folds, windows or users",
        )
    more = () if folds is None else (f"evaluation.folds={folds}",)
    request = replace(request.dated(), overrides=(*request.overrides, *more))
    config = request.load()
    request.check(config)
    _check_writable(out)
    with reported("validate", config, request.date()) as progress:
        found = measure(request, cast("ProtocolName", protocol), progress)
    with out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(found.figures[0]._fields)
        rows.writerows(found.figures)
    screen = console()
    screen.print(_figures_over_parts(found))
    for why in found.left_out:
        screen.print(cell(f"left out: {why}"), soft_wrap=True)
    screen.print(cell(f"written, with the figures of each part: {out}"), soft_wrap=True)


def _figures_over_parts(found: Validation) -> RenderableType:
    from mfspark.evaluation.catalog import METRICS

    whole = {(f.model, f.metric): f for f in found.figures if f.split == found.of_all}
    metrics = [m for m in METRICS if m.shown and any(name == m.name for _, name in whole)]
    rows = [
        [name, *(_with_interval(whole.get((name, metric.name))) for metric in metrics)]
        for name in found.models
    ]
    k = next((f.k for f in found.figures if f.k), 0)
    titles = [metric.title.format(k=k) for metric in metrics]
    title = f"Means over {found.of_all} (in brackets: 95% by Student's t over the parts)"
    return table(("model", *titles), rows, title=title)


def _with_interval(figure: ValidationFigure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} ({figure.low:.4f}-{figure.high:.4f})"


def _check_replaceable(out: Path) -> None:
    """Raise ConfigError for a file that somebody else wrote, or that cannot be written."""
    from mfspark.pipeline.tuning.outcome import HEADER

    _check_writable(out)
    if out.exists() and not out.read_text(encoding="utf-8", errors="replace").startswith(HEADER):
        raise ConfigError(
            f"{out} is there, and mfspark tune did not write it",
            f"name another file: --out {shlex.quote(str(out.with_stem(out.stem + '-tuned')))}",
        )


def _check_writable(out: Path) -> None:
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(f"{out} cannot be written", "name a file in a folder: --out FILE")


def _fields(model: TunedModel) -> dict[str, object]:
    """Return what --json says of the options of a model."""
    return {
        **vars(model),
        "model": model.name,
        "metric": model.metric.name,
        "best": model.best.number,
        "chosen": model.chosen,
        "verdict": model.verdict,
    }


def _print_tuning(tuning: Tuning, out: Path, plot: Path, night: str) -> None:
    screen = console()
    for model in tuning.models:
        _print_trials(screen, model)
    screen.print(cell(f"chosen on {tuning.what}"), soft_wrap=True)
    for model in tuning.models:
        screen.print(Text(model.name, style="bold"), cell(model.verdict), soft_wrap=True)
    screen.print(cell(f"written: {out}, and all trials as a plot: {plot}"), soft_wrap=True)
    if any(model.chosen for model in tuning.models):
        screen.print(cell(f"  a night with them: {night}"), soft_wrap=True)


def _print_trials(screen: Console, model: TunedModel) -> None:
    """Print the best trials, and the one with the configured options."""
    done = [(t.value, t.number, t) for t in model.trials if t.value is not None]
    sign = 1 if model.metric.lower_is_better else -1
    ranked = sorted(done, key=lambda each: (sign * each[0], each[1]))
    shown = [trial for *_, trial in ranked[:_SHOWN]]
    if model.trials[0] not in shown:
        shown.append(model.trials[0])
    keys = list(model.trials[0].params)
    rows = [
        [_number(trial, model), *_figures(trial), *(trial.params[k] for k in keys)]
        for trial in shown
    ]
    n_pruned = sum(trial.outcome == "pruned" for trial in model.trials)
    n_failed = sum(trial.outcome == "failed" for trial in model.trials)
    title = f"{model.name}: {len(model.trials)} trials, {n_pruned} stopped early"
    if n_failed:
        title += f", {n_failed} failed"
    title += f"; the best by {model.title} on the validation part (all: {model.place})"
    columns = ("trial", model.title, "short fit", "seconds", *keys)
    screen.print(table(columns, rows, title=title, numbers=columns))


def _points(model: TunedModel) -> TrialPoints:
    from mfspark.queries.report.trials_chart import TrialPoints

    whole = [(t.number, t.value) for t in model.trials if t.value is not None]
    pruned = [t for t in model.trials if t.outcome == "pruned"]
    short = [(t.number, t.preview) for t in pruned if t.preview is not None]
    return TrialPoints(f"{model.name}, {model.title}", whole, short, model.metric.lower_is_better)


def _number(trial: Trial, model: TunedModel) -> str:
    mark = "*" if trial.number == model.best.number else ""
    return f"{trial.number}{' as configured' if trial.number == 0 else ''}{mark}"


def _figures(trial: Trial) -> list[str]:
    value, preview = (
        "-" if each is None else f"{each:.4f}" for each in (trial.value, trial.preview)
    )
    return [value, preview, f"{trial.seconds:.1f}"]
