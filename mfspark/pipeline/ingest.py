"""Stage ingest: files of ratings, users and items -> ratings, rejected_ratings, users, items."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from mfspark.config.allowed_roots import check_allowed
from mfspark.config.config import Config, IngestOptions
from mfspark.ingest.account import account_of, notes_on
from mfspark.ingest.base_run import BaseRatings, BaseRun
from mfspark.ingest.intake import Intake
from mfspark.ingest.readers.detect import check_readable
from mfspark.ingest.readers.files import find_files, fingerprint
from mfspark.ingest.report import IngestReport
from mfspark.ingest.side_tables.reader import beside_ratings
from mfspark.models.records import INGEST
from mfspark.pipeline.context import RunContext
from mfspark.samples.survey import survey_files
from mfspark.tables.nearby import brought_nearby
from mfspark.tables.run import PublishedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputFiles:
    """The files a night reads."""

    ratings: tuple[str, ...]
    users: tuple[str, ...]
    items: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def of(cls, config: Config) -> InputFiles:
        """Expand the configured patterns; no ratings at all means the embedded survey.

        Whether that can be meant is for whoever takes the request to say (`Request.check`).
        Raises InputError for a pattern that matches nothing, ConfigError for a file outside of what
        is allowed.
        """
        inputs = config.inputs
        ratings = _allowed_files(inputs.ratings) or (str(survey_files()),)
        others = (_allowed_files(given) for given in (inputs.users, inputs.items, inputs.test))
        return cls(ratings, *others)

    def check(self, options: IngestOptions) -> None:
        """Look at the beginning of each file. Raises InputError for one that cannot be read."""
        check_readable((*self.ratings, *self.test), options)
        for path in (*self.users, *self.items):
            check_readable([path], beside_ratings(options))

    def fingerprints(self) -> list[dict[str, Any]]:
        """Return name, size and sha256 of each file, with its role; manifests call that `part`."""
        by_role = asdict(self)
        return [
            {"part": role, **file} for role, files in by_role.items() for file in fingerprint(files)
        ]


def _allowed_files(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files of some patterns. Raises ConfigError for one outside the allowed roots."""
    files = find_files(patterns) if patterns else []
    return tuple(check_allowed(path, "the file") for path in files)


def run(context: RunContext, files: InputFiles) -> IngestReport:
    """Ingest once a night; test ratings are ingested with the others and taken out by the split.

    Ratings made after the run date are left for a later night. What came in is logged, also where
    it was ingested before.
    Raises InputError when the input is unusable or too much of it was rejected.
    """
    night, ratings = context.night, (*files.ratings, *files.test)

    def read_all() -> IngestReport:
        base, others = _base_night(context), (files.users, files.items)
        intake = Intake(
            context.session, night, ratings, *others, len(files.test), base, night.run_date
        )
        return intake.run()

    report = context.once(INGEST, read_all)
    for line in (*account_of(report), *(f"note: {note}" for note in notes_on(report))):
        log.info("%s", line)
    return report


def _base_night(context: RunContext) -> BaseRun | None:
    """Return what the base run knows: its ids, so that indices stay what they were, and ratings."""
    if context.night.base_run is None:
        return None
    run = PublishedRun(context.night.warehouse, context.night.base_run)
    users, items, ratings = (
        brought_nearby(run.files(table), here=context.session.here)
        for table in ("users", "items", "ratings")
    )
    base_ratings, report = None, run.record(INGEST)
    if context.config.ingest.merge and report:
        scale, step = report.rating_scale, report.rating_step
        base_ratings = BaseRatings(ratings, run.manifest.tables["ratings"].rows, scale, step)
    return BaseRun(users, items, run.manifest.ids, base_ratings)
