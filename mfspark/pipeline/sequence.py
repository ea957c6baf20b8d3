"""The stages of a night, what each needs, and the one place that calls them.

    ingest -> similarity ---------------------------+
       |                                            v
       +----> train (a model each) -> evaluate -> publish
       +----> refit (a model each) ------------------^

Each is handed what others made: the dataset that ingest brought in, the fitted models, the figures
of the evaluation. What this night finished before is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.models.records import Subset
    from mfspark.pipeline.context import RunContext
    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.evaluate import Metrics
    from mfspark.pipeline.fits import Fits
    from mfspark.pipeline.ingest import InputFiles
    from mfspark.pipeline.progress import Progress
    from mfspark.tables.manifest import Manifest

StageName = Literal["run", "ingest", "similarity", "train", "evaluate", "publish"]
"""Stages that can be asked for."""


class Step(NamedTuple):
    """A step of a night, named for progress and logs."""

    label: str
    work: Callable[[], object]


class Stage(NamedTuple):
    """A stage: its steps, the stages whose steps come first, and what its command's help says."""

    steps: Callable[[Work], Iterable[Step]]
    needs: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Work:
    """The stages of one night, bound to what they hand on; imports them as they are called."""

    context: RunContext
    files: InputFiles
    names: Sequence[ModelName]
    """The models that stage train fits."""

    @property
    def measured(self) -> bool:
        """Whether anything is held out to measure models with."""
        return self.context.config.evaluation.split != "none"

    @cached_property
    def dataset(self) -> Dataset:
        """What ingest brings in."""
        from mfspark.pipeline import ingest
        from mfspark.pipeline.dataset import Dataset
        from mfspark.pipeline.ranking.reranker import check_variety

        found = Dataset(self.context, ingest.run(self.context, self.files), self.files.test)
        check_variety(found)
        return found

    @cached_property
    def fits(self) -> Fits:
        """The fitted models."""
        from mfspark.pipeline.fits import Fits

        return Fits(self.context, self.dataset)

    def similarity(self) -> None:
        """Write the tables of neighbors."""
        from mfspark.pipeline import neighbors

        neighbors.run(self.context, self.dataset, self.fits)

    def train(self, name: ModelName, subset: Subset) -> None:
        """Fit one model on a subset of the ratings."""
        from mfspark.pipeline import train

        train.run(self.fits, [name], subset)

    def evaluate(self) -> Metrics:
        """Measure the models."""
        from mfspark.pipeline import evaluate

        return evaluate.run(self.context, self.dataset, self.fits)

    def publish(self) -> Manifest:
        """Write the remaining tables, judge the night, and make it the run that readers see."""
        from mfspark.models.records import WRITTEN, TablesWritten
        from mfspark.pipeline import judge, serving
        from mfspark.pipeline import publish as tables
        from mfspark.tables.publish import publish

        metrics, began = self.evaluate(), time.perf_counter()
        champion = serving.run(self.context, metrics)
        if self.measured:
            serving.measure(self.context, self.fits, champion)
        tables.write_tables(self.dataset, self.fits, metrics, champion)
        verdicts = judge.run(self.context, self.dataset, self.fits, champion)
        self.context.night.finish(WRITTEN, TablesWritten(), time.perf_counter() - began)
        self.context.count_requests()
        return publish(self.context.night, self.dataset.report.ids, metrics, verdicts)


def _fits_of(label: str, work: Work, names: Sequence[ModelName], subset: Subset) -> Iterator[Step]:
    for name in names:
        yield Step(f"{label} {name}", partial(work.train, name, subset))


def _training(work: Work) -> Iterator[Step]:
    return _fits_of("train", work, work.names, "train" if work.measured else "all")


def _refitting(work: Work) -> Iterator[Step]:
    refits = work.measured and work.context.config.evaluation.refit
    return _fits_of("refit", work, work.context.config.models.run if refits else (), "all")


STAGES: dict[str, Stage] = {
    "run": Stage(
        lambda _: (),
        ("publish",),
        "The whole night: read ratings, fit, measure, publish.\n\n"
        "Without --ratings the embedded survey is used, in a warehouse that holds no other data. "
        "A night is a date, a configuration and inputs: the same three again go on where they were "
        "interrupted, or find the night published.",
    ),
    "ingest": Stage(
        lambda work: [Step("ingest", lambda: work.dataset)],
        (),
        "Read and clean the ratings and items.\n\n"
        "Rows that cannot be used are set aside with their reason, in table rejected_ratings.",
    ),
    "similarity": Stage(
        lambda work: [Step("similarity", work.similarity)],
        ("ingest",),
        "Find the nearest neighbors of users and items.\n\nOf users where user_knn is run, of "
        'items where item_knn is, or of both (similarity.tables = "all"). Ingests first where that '
        "is not done.",
    ),
    "train": Stage(
        _training,
        ("ingest",),
        "Fit the models on the training ratings.\n\nIngests first where that is not done.",
    ),
    "evaluate": Stage(
        lambda work: [Step("evaluate", work.evaluate)] if work.measured else [],
        ("train",),
        "Measure the models on held-out ratings.\n\nFits them first where needed.",
    ),
    "refit": Stage(_refitting, ("ingest",)),
    "publish": Stage(
        lambda work: [Step("publish", work.publish)],
        ("similarity", "evaluate", "refit"),
        "Write the lists, and make the night the one that readers see.\n\n"
        "Does first what is missing of the night.",
    ),
}
"""All stages; those with a help text are commands."""


def run(work: Work, stage: StageName, progress: Progress) -> None:
    """Run a stage of a night, after the stages that it needs, and say how far it is.

    Raises InputError where the input is unusable, RefusedError where an audit or a gate refuses the
    night or another run was published meanwhile, LockedError while another is being published.
    """
    steps = [step for name in _in_order(stage) for step in STAGES[name].steps(work)]
    progress.begin(len(steps))
    for step in steps:
        with progress.step(step.label):
            step.work()


def _in_order(stage: str) -> list[str]:
    """Return a stage after all that it needs, each once."""
    found: dict[str, None] = {}
    for need in STAGES[stage].needs:
        found |= dict.fromkeys(_in_order(need))
    return [*found, stage]
