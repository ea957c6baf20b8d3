"""What the examples share: a night in a folder that goes away, and one look for all plots."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, execute
from mfspark.system.spark import spark_session
from mfspark.tables.run import PublishedRun

PLOTS = Path(__file__).parent / "plots"
BLUE, ORANGE, GREEN, GREY = "#2456c8", "#c2571a", "#1f7a4d", "#8b8983"

plt.rcParams.update(
    {
        "figure.dpi": 130,
        "figure.facecolor": "white",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#b9b6ae",
        "axes.grid": True,
        "grid.color": "#ece9e2",
        "axes.axisbelow": True,
        "axes.titleweight": "bold",
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "xtick.color": "#5e5c57",
        "ytick.color": "#5e5c57",
        "legend.frameon": False,
    }
)

RunNight = Callable[..., PublishedRun]


@contextmanager
def nights() -> Iterator[tuple[RunNight, Path]]:
    """Yield `run(ratings, *overrides, items=())`, which runs a night, and a folder for its files.

    All nights of a script share one Spark session, and each has a warehouse of its own.
    `overrides` are those of `mfspark run --set`.
    """
    with tempfile.TemporaryDirectory(prefix="mfspark-example-") as name, spark_session():
        folder = Path(name)
        warehouses = (folder / f"warehouse-{number}" for number in count(1))

        def run(
            ratings: Path | None, *overrides: str, items: tuple[Path, ...] = ()
        ) -> PublishedRun:
            request = Request(
                "run",
                ratings=() if ratings is None else (str(ratings),),
                items=tuple(map(str, items)),
                warehouse=str(next(warehouses)),
                run_date="2026-11-22",
                overrides=overrides,
            )
            night = execute(request, LoggedProgress())
            return PublishedRun(night.warehouse.root, night.run_id)

        yield run, folder


def losses(run: PublishedRun, split: str = "train") -> list[float]:
    """Return the losses of the published fit of a run's only model, an iteration each."""
    return [
        row["loss"]
        for row in run.rows(
            """select loss from {loss_history} where part = ? and split = ? and model = ?
               order by iteration""",
            *(run.part, split, run.models[0]),
        )
    ]


def save(figure: Figure, name: str) -> None:
    """Write a plot beside the others."""
    PLOTS.mkdir(exist_ok=True)
    figure.savefig(PLOTS / f"{name}.png", bbox_inches="tight")
    print(f"wrote {name}.png")
