"""The whole configuration and its sections, with a line under each field.

The sections `models`, `gates`, `publish` and `serving` have modules of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from mfspark.config.allowed_roots import check_value
from mfspark.config.gates import Gates
from mfspark.config.models import ModelName, Models
from mfspark.config.publish import PublishOptions, ServingOptions
from mfspark.config.section import Section, Share
from mfspark.config.tune import TuneOptions

_NO_DELIMITERS = frozenset('"\n\r\\.-+')
Encoding = Literal[
    "auto", "utf-8", "windows-1252", "iso-8859-1", "windows-1250", "windows-1251", "windows-1253",
    "windows-1254", "iso-8859-2", "koi8-r", "shift_jis", "euc-jp", "gb18030", "big5", "euc-kr",
]  # fmt: skip
Format = Literal["auto", "csv", "dat", "tab", "wide_csv", "excel", "parquet"]


class InputOptions(Section):
    """Where ratings, and what is known of users and items, are read from.

    `{run_date}` in a path stands for the night's date, such as 2026-11-22.
    """

    ratings: tuple[str, ...] = ()
    """Files or globs of ratings; empty means the embedded survey, in a warehouse of its own."""
    items: tuple[str, ...] = ()
    """Files or globs with titles and genres."""
    users: tuple[str, ...] = ()
    """Files or globs with attributes of users, such as age and country."""
    test: tuple[str, ...] = ()
    """Files of test ratings for `evaluation.split = "given"`."""


class InputColumns(Section):
    """Which input column plays which part; a name, or a 1-based position as text such as "3".

    Empty means: recognised by its name (userId, user_id, user, ...) or by the usual order.
    `timestamp = "-"` means: there is none; `user = "-"`: each file is one user, called by its name.
    """

    user: str = ""
    item: str = ""
    rating: str = ""
    timestamp: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _position_is_text(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value


class IngestOptions(Section):
    """How ratings are read, cleaned and quarantined."""

    format: Format = "auto"
    """`csv` comma or semicolon, `dat` '::', `tab`; `wide_csv` and `excel`: one row a user."""
    header: bool | None = None
    """Whether the first line names the columns; unset means detected."""
    columns: InputColumns = InputColumns()
    feedback: Literal["auto", "explicit", "implicit"] = "auto"
    """`implicit`: rows are choices, which count how often they are made; rating models are left
    out. `auto`: so where the files hold users and items alone."""
    wide_extra_columns: tuple[str, ...] = ()
    """Columns of a wide sheet that are neither the user nor items; unset means detected (dates)."""
    sheet: str = ""
    """Name of the Excel sheet; empty means the first that is not hidden."""
    delimiter: str = ""
    """The character between fields of text, such as "|"; " " is any run of blanks; empty means
    detected."""
    encoding: Encoding = "auto"
    """`auto`: UTF-8 where most is, else Windows-1252, as which `iso-8859-1` is read, too."""
    rating_scale: tuple[float, float] | None = None
    """Smallest and largest valid rating; unset means what is found, and nothing is out of range."""
    missing_ratings: tuple[float, ...] = ()
    """Numbers that stand for "not rated", such as -1, 0 or 99; such rows are `not_rated`."""
    max_rejected_share: Share = 0.05
    """More than this share of rejected rows stops the run with exit status 3."""
    max_superseded_share: Share = 0.2
    """More than this share of rows whose pair is rated again stops the run with exit status 3."""
    merge: bool = False
    """The files hold only new and changed ratings: they are added to those of the base run."""
    split_mb: PositiveInt = 32
    """Size of the pieces, in MiB, in which large text files are read in parallel."""
    user_attributes: tuple[str, ...] = ()
    """Columns of the user files that are kept, and published in `users`; empty means all."""
    max_sheet_cells: PositiveInt = 20_000_000
    """Excel sheets with more cells are refused."""

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one_character(cls, value: str) -> str:
        odd = len(value) > 1 or value.isalnum() or value in _NO_DELIMITERS
        if value not in ("", "::") and odd:
            raise ValueError('delimiter must be one character, such as "|", no quote or letter')
        return value

    @model_validator(mode="after")
    def _scale_is_ordered(self) -> IngestOptions:
        if self.rating_scale and self.rating_scale[0] >= self.rating_scale[1]:
            raise ValueError("rating_scale must be [smallest, largest]")
        return self


class IdOptions(Section):
    """How ids are stored."""

    type: Literal["auto", "integer", "string"] = "auto"
    """`auto`: integer where every id is a plain integer, otherwise string."""


class ItemOptions(Section):
    """What counts as one item."""

    merge_on: Literal["id", "title"] = "id"
    """`title`: items of one title are one, and a user's ratings of them are averaged."""


class GridOptions(Section):
    """How ratings are cut into tiles (see docs/grid.md)."""

    engine: Literal["auto", "one_task", "spark"] = "auto"
    """`auto`: a training loop is one task up to `one_task_ratings`, beyond a Spark job a sweep; a
    small night stays in one process, where all tasks would run on its machine anyway."""
    blocks: Annotated[int, Field(ge=0, le=4096)] = 0
    """Blocks of users and of items; 0 means chosen by size."""
    one_task_ratings: Annotated[int, Field(ge=0)] = 0
    """Up to this many ratings a whole training loop runs inside one task; 0: 50 million where Spark
    runs on one machine (its other cores would stand idle), 5 million on a cluster."""


class FeedbackOptions(Section):
    """What of the ratings says that a user wants an item, for all models that rank items."""

    choices_from: float | Literal["relevant", "all"] = "relevant"
    """Ratings from here on are choices; `relevant`: those that count as relevant in the evaluation;
    `all`: every rating. Files without ratings hold nothing but choices."""


class EvaluationOptions(Section):
    """How models are measured before anything is published."""

    split: Literal["random", "temporal", "leave_last", "given", "none"] = "random"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    k: PositiveInt = 10
    """Length of the lists that ranking metrics are computed on."""
    relevant_rating: float | None = None
    """Test ratings from here on count as relevant; unset means three quarters up the scale."""
    refit: bool = True
    """Refit on all ratings before publishing."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts that `mfspark validate` measures on, one after the other; a night has one test part."""


class NeighborTableOptions(Section):
    """The tables of nearest neighbors."""

    tables: Literal["auto", "all"] = "auto"
    """`auto`: of users where user_knn is run, of items where item_knn is; `all`: of both."""


class CompletedOptions(Section):
    """The completed users x items matrix."""

    max_cells: Annotated[int, Field(ge=0)] = 2_000_000
    """Written only where users x items is at most this; 0 means never."""
    model: Literal[
        "best", "baseline", "user_knn", "item_knn", "als", "bayesian_mf", "torch_mf", "svd", "nmf"
    ] = "best"
    """Whose predictions fill it; `best` is the lowest RMSE."""


class Config(Section):
    """The whole configuration of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    warehouse: str = "warehouse"
    """Directory (or URL) the tables are published under."""
    inputs: InputOptions = InputOptions()
    ingest: IngestOptions = IngestOptions()
    ids: IdOptions = IdOptions()
    items: ItemOptions = ItemOptions()
    grid: GridOptions = GridOptions()
    models: Models = Models()
    similarity: NeighborTableOptions = NeighborTableOptions()
    feedback: FeedbackOptions = FeedbackOptions()
    evaluation: EvaluationOptions = EvaluationOptions()
    publish: PublishOptions = PublishOptions()
    serving: ServingOptions = ServingOptions()
    gates: Gates = Gates()
    completed: CompletedOptions = CompletedOptions()
    tune: TuneOptions = TuneOptions()

    @property
    def compares(self) -> tuple[ModelName, ...]:
        """The models of neighbors whose tables are written: what `similarity.tables` asks for."""
        both: tuple[ModelName, ModelName] = ("user_knn", "item_knn")
        every = self.similarity.tables == "all"
        return tuple(name for name in both if every or name in self.models.run)

    @field_validator("warehouse")
    @classmethod
    def _warehouse_is_allowed(cls, value: str) -> str:
        return check_value(value, "the warehouse")

    @model_validator(mode="after")
    def _test_file_where_given(self) -> Config:
        if (self.evaluation.split == "given") != bool(self.inputs.test):
            raise ValueError('evaluation.split = "given" and inputs.test (--test FILE) go together')
        if self.evaluation.split == "given" and self.items.merge_on == "title":
            raise ValueError('items.merge_on = "title" cannot find the pairs of given test ratings')
        if self.ingest.merge and self.items.merge_on == "title":
            raise ValueError('items.merge_on = "title" cannot average with the base run (merge)')
        return self

    @model_validator(mode="after")
    def _completed_by_ratings(self) -> Config:
        name = self.completed.model
        options = getattr(self.models, name, None)
        if name in ("svd", "nmf") and getattr(options, "unrated", "") == "zero":
            other = "baseline" if name == "svd" else "masked"
            raise ValueError(
                f'completed.model = "{name}" predicts ratings only with models.{name}.unrated = '
                f'"{other}"; with "zero" it ranks items'
            )
        return self

    @model_validator(mode="after")
    def _served_model_is_run(self) -> Config:
        name, run = self.serving.model, self.models.run
        if name != "auto" and name not in run:
            raise ValueError(
                f'serving.model = "{name}", which is not run (models.run = {", ".join(run)}): '
                'run it too, or set serving.model = "auto"'
            )
        return self

    @model_validator(mode="after")
    def _spaces_hold_options(self) -> Config:
        if problems := list(self.tune.problems(self.models)):
            raise ValueError("\n  - ".join(problems))
        return self

    @property
    def n_served(self) -> int:
        """Rows a user in `serving`."""
        return self.serving.n or self.publish.n

    def content(self) -> dict[str, Any]:
        """Return what decides the content of the tables.

        That is all but where things lie, whether tables are good enough to be published, and how
        options are tuned or validated.
        """
        others = {"warehouse": True, "inputs": True, "gates": True, "tune": True}
        return self.model_dump(mode="json", exclude=others | {"evaluation": {"folds"}})
