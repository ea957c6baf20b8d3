"""What commands answer with --json, and jobs always: every field, once.

`docs/schemas/` has these as JSON schemas, one a command (`make schemas` writes them). Fields are
added in later versions; none is renamed, and none changes its meaning.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Id = int | str
"""An id in the type that the tables have."""


def _closed(schema: dict[str, Any]) -> None:
    """Allow no other fields, and leave out titles that only repeat names."""
    schema["additionalProperties"] = False
    for field in schema["properties"].values():
        field.pop("title", None)


class Answer(BaseModel):
    """An object of an answer. What it is read from may have more fields."""

    model_config = ConfigDict(
        frozen=True,
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra=_closed,
    )

    def line(self) -> str:
        """Return it as one line of JSON in ASCII: no text in it can steer a terminal."""
        return json.dumps(json.loads(self.model_dump_json()))  # the first makes null of NaN


class Rater(Answer):
    """A user, and how they rate."""

    id: Id
    n_ratings: int
    mean: float | None
    """Of their ratings."""


class ListedItem(Answer):
    """One row of a list."""

    rank: int
    item_id: Id
    title: str | None
    score: float
    tier: str
    """The model, or the fallback that made the row."""
    reason: list[str]
    """Neighbors, or titles of rated items, that contributed most."""


class RatedItem(Answer):
    """An item with a user's own rating."""

    item_id: Id
    title: str | None
    rating: float


class Served(Answer):
    """Whose lists people get."""

    model: str
    why: str


class ShowAnswer(Answer):
    """The list of one user: `mfspark show`."""

    run_id: str
    user: Rater
    model: str
    """Whose list it is."""
    served: Served | None
    """Whose lists people get; null in runs of versions without table serving."""
    items: list[ListedItem]
    rated_best: list[RatedItem]
    """What the user rated best, the latest first where equal."""
    models: list[str]
    """All whose lists were published."""


class Prediction(Answer):
    """What one model predicts."""

    model: str
    prediction: float
    tier: str
    """The model, or the fallback that answered for it."""
    basis: str
    """In words, what the figure rests on."""


class PredictAnswer(Answer):
    """Predictions of one rating: `mfspark predict`."""

    run_id: str
    user: Id
    item: Id
    title: str | None
    unknown: list[str]
    """Which of user and item the run does not know; predictions are then averages."""
    rating: float | None
    """The known rating."""
    predictions: list[Prediction]
    notes: list[str]


class Neighbor(Answer):
    """A user near another."""

    rank: int
    id: Id
    similarity: float
    n_common: int
    """Items that both rated."""


class UserRating(Answer):
    """A user's rating of an item that is known from where this stands."""

    user_id: Id
    rating: float


class CommonItem(Answer):
    """An item, with the ratings of a user and their neighbors."""

    item_id: Id
    title: str | None
    ratings: list[UserRating]


class NeighborsAnswer(Answer):
    """The nearest neighbors of a user: `mfspark neighbors`."""

    run_id: str
    user: Rater
    neighbors: list[Neighbor]
    """The nearest first."""
    items: list[CommonItem]
    """Those that most of them rated."""


class Best(Answer):
    """The model with the lowest RMSE."""

    model: str
    rmse: float


class RunFields(Answer):
    """A published run; all but its id is null where its manifest is damaged."""

    run_id: str
    current: bool
    """Whether it is the one that readers see."""
    run_date: date | None
    published_at: datetime | None
    n_ratings: int | None
    n_rejected: int | None
    best: Best | None
    served: Served | None
    problem: str | None
    """What is wrong with its manifest."""


class OpenNightFields(Answer):
    """A night that was begun and not published: refused, interrupted, or running."""

    run_id: str
    begun_at: datetime | None
    refused_at: datetime | None
    """Null where it was interrupted, or is running."""
    reasons: list[str]
    """Why it was refused."""
    evidence: str | None
    """The file with every figure, where it was refused."""
    go_on: str | None
    """The command that goes on with it, where it can still be published and that is known."""


class RunsAnswer(Answer):
    """What a warehouse holds: `mfspark runs`."""

    runs: list[RunFields]
    """The newest first."""
    nights: list[OpenNightFields]
    """The latest date first."""


class StatusAnswer(Answer):
    """What readers see: `mfspark status`."""

    run: RunFields
    age_hours: float | None
    """Since it was published."""
    stale: bool | None
    """Whether it is older than --max-age; null where that is not given."""
    nights: list[OpenNightFields]


class VerifiedRun(Answer):
    """A run that was compared with its manifest."""

    run_id: str
    damages: list[str]
    """Files that are not as they were published; empty where all are."""


class VerifyAnswer(Answer):
    """Runs that were compared with their manifests: `mfspark verify`."""

    runs: list[VerifiedRun]


class TrialFields(Answer):
    """Options that were tried."""

    number: int
    """Trial 0 has the options as configured."""
    outcome: str
    """complete, pruned (stopped early) or failed."""
    value: float | None
    """The metric of the whole fit on the validation part."""
    preview: float | None
    """The metric of the short fit that came first."""
    seconds: float
    params: dict[str, Any]


class Gain(Answer):
    """By how much the best options are better where nothing was chosen, with a 95% interval."""

    value: float
    low: float | None
    high: float | None
    n_users: int


class TunedFields(Answer):
    """What was found for one model."""

    model: str
    metric: str
    k: int
    best: int
    """Number of the best trial."""
    chosen: dict[str, Any]
    """Options that differ from the configured ones; empty where those stay."""
    gain: Gain | None
    verdict: str
    trials: list[TrialFields]


class TuneAnswer(Answer):
    """Options that were looked for: `mfspark tune`."""

    run_date: date
    chosen_on: str
    """The ratings that they were chosen on, in words."""
    models: list[TunedFields]
    written: list[str]
    """The configuration, and the plot of all trials."""
    interrupted: bool


class IngestCounts(Answer):
    """What came in."""

    n_rows: int
    """Rows of the files."""
    n_accepted: int
    """Ratings of the night."""
    n_rejected: int
    rejected_by_reason: dict[str, int]
    n_later: int
    """Ratings made after the run date."""


class FigureFields(Answer):
    """One figure of a model: a row of table metrics."""

    model: str
    split: str
    metric: str
    k: int | None
    """Length of the lists that it is measured on."""
    value: float | None
    low: float | None
    high: float | None
    """Ends of its 95% interval."""
    n: int


class VerdictFields(Answer):
    """What one gate, or audit, says of one subject."""

    gate: str
    subject: str
    """A model, a count, or an audit."""
    mode: str
    """enforce or warn."""
    outcome: str
    """passed, failed or skipped."""
    why: str
    value: float | None
    threshold: float | None


class JobAnswer(Answer):
    """What a job of `jobs/` did: the one line that it prints on standard output."""

    run_id: str | None
    """Null where it failed before it was known."""
    run_date: date
    stage: str
    models: list[str]
    """The only ones that stage train was to fit; empty: all of them."""
    outcome: Literal["published", "done", "refused", "interrupted", "failed"]
    """done: the stage is, and the night is not published yet."""
    status: int
    """The exit status."""
    seconds: float
    error: str | None
    reasons: list[str] = []
    """Why gates or audits refused the night."""
    ingest: IngestCounts | None = None
    """Null where it failed."""
    metrics: list[FigureFields] = []
    """Of a published night, as all that follows."""
    verdicts: list[VerdictFields] = []
    tables: dict[str, int] = {}
    """Rows by table."""
    served: Served | None = None
    notes: list[str] = []


ANSWERS: dict[str, type[Answer]] = {
    "show": ShowAnswer,
    "predict": PredictAnswer,
    "neighbors": NeighborsAnswer,
    "runs": RunsAnswer,
    "status": StatusAnswer,
    "verify": VerifyAnswer,
    "tune": TuneAnswer,
    "job": JobAnswer,
}
"""By command; `job` is what the programs of `jobs/` print."""


def schemas() -> dict[str, str]:
    """Return the JSON schema of each command's answer, as the text of a file."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    found = {
        command: dialect | answer.model_json_schema(mode="serialization")
        for command, answer in ANSWERS.items()
    }
    return {command: json.dumps(schema, indent=2) + "\n" for command, schema in found.items()}
