"""Configuration: one TOML file, `--set section.key=value` on top, checked before Spark starts.

Each section is a frozen pydantic model with a line under each field. Unknown keys are refused with
the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from mfspark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Share = Annotated[float, Field(ge=0, le=1)]
ModelName = Literal["baseline", "popularity", "user_knn", "als", "ials", "bayesian_mf", "torch_mf"]
Format = Literal["auto", "csv", "dat", "tab", "wide_csv", "excel", "parquet"]


class Section(BaseModel):
    """A part of the configuration: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Inputs(Section):
    """Where ratings and items are read from."""

    ratings: tuple[str, ...] = ()
    """Files or globs of ratings; empty means the embedded survey."""
    items: tuple[str, ...] = ()
    """Files or globs with titles and genres."""
    test: tuple[str, ...] = ()
    """Files of test ratings for `evaluation.split = "given"`."""


class Columns(Section):
    """Which input column plays which part; a name, or a 1-based position as text such as "3".

    Empty means: recognised by its name (userId, user_id, user, ...) or by the usual order.
    `timestamp = "-"` means: there is none.
    """

    user: str = ""
    item: str = ""
    rating: str = ""
    timestamp: str = ""


class Ingest(Section):
    """How ratings are read, cleaned and quarantined."""

    format: Format = "auto"
    """`csv` comma or semicolon, `dat` '::', `tab`; `wide_csv` and `excel`: one row a user."""
    header: bool | None = None
    """Whether the first line names the columns; unset means detected."""
    columns: Columns = Columns()
    wide_extra_columns: tuple[str, ...] = ()
    """Columns of a wide sheet that are neither the user nor items; unset means detected (dates)."""
    sheet: str = ""
    """Name of the Excel sheet; empty means the first."""
    encoding: Literal["auto", "utf-8", "iso-8859-1"] = "auto"
    rating_scale: tuple[float, float] | None = None
    """Smallest and largest valid rating; unset means what is found, and nothing is out of range."""
    max_rejected_share: Share = 0.05
    """More than this share of rejected rows stops the run with exit status 3."""
    split_mb: PositiveInt = 32
    """Size of the pieces, in MiB, in which large text files are read in parallel."""
    max_sheet_cells: PositiveInt = 20_000_000
    """Excel sheets with more cells are refused."""

    @model_validator(mode="after")
    def _scale_is_ordered(self) -> Ingest:
        if self.rating_scale and self.rating_scale[0] >= self.rating_scale[1]:
            raise ValueError("rating_scale must be [smallest, largest]")
        return self


class Ids(Section):
    """How ids are stored."""

    type: Literal["auto", "integer", "string"] = "auto"
    """`auto`: integer where every id is a plain integer, otherwise string."""


class GridOptions(Section):
    """How ratings are cut into tiles (see docs/grid.md)."""

    engine: Literal["auto", "one_task", "spark"] = "auto"
    """`auto`: one task while the ratings fit one tile, otherwise sweeps over Spark."""
    blocks: Annotated[int, Field(ge=0, le=4096)] = 0
    """Blocks of users and of items; 0 means chosen by size."""
    one_tile_ratings: PositiveInt = 5_000_000
    """Up to this many ratings a whole training loop runs inside one task."""


class BaselineOptions(Section):
    """mu + b_u + b_i with damped biases."""

    reg_user: NonNegativeFloat = 15.0
    """Damping of user biases, in ratings."""
    reg_item: NonNegativeFloat = 10.0
    """Damping of item biases, in ratings."""
    max_iter: PositiveInt = 10
    """Alternations between the two sides."""


class PopularityOptions(Section):
    """Items by their number of ratings."""


class UserKNNOptions(Section):
    """Mean of the ratings of a user's nearest neighbors."""

    similarity: Literal["cosine"] = "cosine"
    num_neighbors: PositiveInt = 50
    """Neighbors kept a user (k)."""
    min_support: PositiveInt = 1
    """Items two users must share to be neighbors."""
    aggregation: Literal["mean", "weighted"] = "mean"
    """`mean`: plain mean of the neighbors' ratings; `weighted`: weighted by similarity."""


class AlternatingOptions(Section):
    """What all alternating least squares have in common."""

    rank: PositiveInt = 32
    max_iter: PositiveInt = 15
    tol: NonNegativeFloat = 1e-4
    """Stop when an iteration changes the training RMSE by less than this share; 0: never."""
    solver: Literal["cholesky", "cg"] = "cg"
    """`cg`: a few steps from the last iteration's solution; `cholesky`: exact, slower."""
    cg_steps: PositiveInt = 3
    init_std: PositiveFloat = 0.1
    """Standard deviation of the starting factors."""


class ALSOptions(AlternatingOptions):
    """Alternating least squares with biases, for ratings."""

    engine: Literal["torch", "mllib"] = "torch"
    """`torch`: our kernel on the grid; `mllib`: Spark's own ALS, for comparison."""
    reg: PositiveFloat = 0.085
    """L2 weight of a factor, in variances of the ratings and times (n_u + prior), so that one
    value serves 5-star and 10-point scales, busy and quiet users."""
    prior: NonNegativeFloat = 15.0
    """Ratings every row is taken to have more, where its regularisation is weighed."""
    bias_damping: PositiveFloat = 2.0
    """Damping of the biases, in ratings, as the baseline has."""
    biases: bool = True
    nonnegative: bool = False
    """Keep factors at 0 or above; biases stay free."""


class IALSOptions(AlternatingOptions):
    """Alternating least squares for implicit feedback: ranks items by what users chose."""

    rank: PositiveInt = 64
    reg: PositiveFloat = 0.03
    """L2 weight of a factor, times the confidence of all cells of its row."""
    alpha: PositiveFloat = 3.0
    """Confidence of a chosen cell is 1 + alpha, or 1 + alpha * rating; of any other 1."""
    by_rating: bool = True
    """Whether confidence grows with the rating."""
    threshold: float | None = None
    """Ratings from here on are choices; unset: all above 0."""


class TorchMFOptions(Section):
    """Matrix factorization by stochastic gradients in torch.

    Learning rate, regularisation and start are in units of the ratings' standard deviation, so that
    one value serves every scale.
    """

    rank: PositiveInt = 32
    epochs: PositiveInt = 40
    warm_epochs: PositiveInt = 10
    """Epochs where training starts from the last run's factors (models.warm_start)."""
    learning_rate: PositiveFloat = 0.05
    """Of `sgd`; 0.2 suits `adagrad` and 0.02 `adam`."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Factor on the learning rate after each epoch."""
    reg: NonNegativeFloat = 0.12
    """L2 weight of a row's factors and bias, times (n + prior)."""
    prior: NonNegativeFloat = 10.0
    """Ratings every row is taken to have more, where its regularisation is weighed."""
    implicit: bool = True
    """Draw an item's row to what its raters tell of it instead of to 0; see kernels.imprints."""
    imprint_damping: PositiveFloat = 100.0
    """Ratings every user is taken to have more, where the imprint it leaves is weighed."""
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    batch_size: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Ratings a step; 0: all of a tile; `auto`: 20 steps an epoch, see models.torch_mf."""
    biases: bool = True
    center: bool = True
    """Whether the global mean is taken off the ratings first."""
    init_std: PositiveFloat = 0.1
    """Standard deviation of the starting factors."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training ratings held out for the validation loss and early stopping."""
    patience: PositiveInt = 3
    """Epochs without a better validation loss before training stops."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


class BayesianMFOptions(Section):
    """Matrix factorization by Gibbs sampling: the most accurate ratings, with intervals."""

    rank: PositiveInt = 16
    samples: PositiveInt = 200
    """Draws after the burn-in."""
    burn_in: Annotated[int, Field(ge=0)] = 30
    """Draws before the first that counts."""
    warm_burn_in: Annotated[int, Field(ge=0)] = 5
    """The same where training starts from the last run's factors (models.warm_start)."""
    keep: PositiveInt = 64
    """How many of the samples, evenly spaced, predictions are averaged over."""
    pattern_features: Annotated[int, Field(ge=0)] = 512
    """Dimensions of the rating patterns of either side that explain factors; 0: none."""
    attributes: bool = True
    """Whether genres and years of items explain factors too, where the items have them."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability with which a rating lies between score_low and score_high."""


class Models(Section):
    """Which models are run, and their options."""

    warm_start: bool = False
    """Fit what is published from the factors of the last published run. Models are measured on
    fits from random factors all the same: the last run has seen the test ratings."""

    run: tuple[ModelName, ...] = (
        "baseline",
        "popularity",
        "user_knn",
        "als",
        "ials",
        "bayesian_mf",
        "torch_mf",
    )
    baseline: BaselineOptions = BaselineOptions()
    popularity: PopularityOptions = PopularityOptions()
    user_knn: UserKNNOptions = UserKNNOptions()
    als: ALSOptions = ALSOptions()
    ials: IALSOptions = IALSOptions()
    bayesian_mf: BayesianMFOptions = BayesianMFOptions()
    torch_mf: TorchMFOptions = TorchMFOptions()

    @model_validator(mode="after")
    def _some_and_once(self) -> Models:
        if not self.run or len(set(self.run)) != len(self.run):
            raise ValueError("run must name at least one model, each once")
        return self


class Evaluation(Section):
    """How models are measured before anything is published."""

    split: Literal["random", "temporal", "leave_last", "given", "none"] = "random"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    k: PositiveInt = 10
    """Length of the lists that ranking metrics are computed on."""
    relevant_rating: float | None = None
    """Test ratings from here on count as relevant; unset means three quarters up the scale."""
    refit: bool = True
    """Refit on all ratings before publishing."""


class Publish(Section):
    """What readers get."""

    n: PositiveInt = 10
    """Rows a user and model in `top_n`."""
    allow_items: tuple[str, ...] = ()
    """Item ids that lists may hold, none other; empty: all. "@FILE" stands for a file's lines."""
    deny_items: tuple[str, ...] = ()
    """Item ids that no list holds, also those that are allowed; "@FILE" as above."""
    similar_items: Annotated[int, Field(ge=0)] = 20
    """Rows an item and model in `similar_items`; 0: none."""
    clamp: bool = True
    """Keep predicted ratings inside the rating scale."""
    round_to: NonNegativeFloat = 0.0
    """Round predicted ratings to this step; 0 means not at all."""
    single_file: bool = False
    """Also replace `exports/top_n.parquet`."""

    @field_validator("allow_items", "deny_items", mode="before")
    @classmethod
    def _read_files(cls, value: Any) -> Any:
        return _with_lines(value) if isinstance(value, (list, tuple)) else value


class Completed(Section):
    """The completed users x items matrix."""

    max_cells: Annotated[int, Field(ge=0)] = 2_000_000
    """Written only where users x items is at most this; 0 means never."""
    model: Literal["best", "baseline", "user_knn", "als", "bayesian_mf", "torch_mf"] = "best"
    """Whose predictions fill it; `best` is the lowest RMSE."""


class Config(Section):
    """The whole configuration of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    warehouse: str = "warehouse"
    """Directory (or URL) the tables are published under."""
    inputs: Inputs = Inputs()
    ingest: Ingest = Ingest()
    ids: Ids = Ids()
    grid: GridOptions = GridOptions()
    models: Models = Models()
    evaluation: Evaluation = Evaluation()
    publish: Publish = Publish()
    completed: Completed = Completed()

    @model_validator(mode="after")
    def _test_file_where_given(self) -> Config:
        if (self.evaluation.split == "given") != bool(self.inputs.test):
            raise ValueError('evaluation.split = "given" and inputs.test (--test FILE) go together')
        return self

    def content(self) -> dict[str, Any]:
        """Return what decides the content of the tables: everything but where things lie."""
        return self.model_dump(mode="json", exclude={"warehouse", "inputs"})


def load_config(path: str | Path | None = None, overrides: tuple[str, ...] = ()) -> Config:
    """Read a TOML file (or none, for the defaults) and put `section.key=value` overrides on top.

    Raises ConfigError that lists every wrong key and value at once, with the nearest known key.
    """
    values = _read_toml(Path(path)) if path else {}
    for override in overrides:
        _set(values, override)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        where = str(path) if path else "the configuration"
        problems = "\n".join(f"  - {_explain(e)}" for e in error.errors(include_url=False))
        raise ConfigError(f"{where} has {error.error_count()} problem(s):\n{problems}") from None


def parse_run_date(text: str) -> date:
    """Parse YYYY-MM-DD. Raises ConfigError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"run date '{text}' is not a date", "write it as 2026-11-22") from None


def _with_lines(ids: Iterable[Any]) -> tuple[Any, ...]:
    """Replace each "@FILE" by the lines of the file, and whole numbers by their text.

    The ids themselves become part of the configuration, so that a changed file is another run.
    """
    found: list[Any] = []
    for given in ids:
        if isinstance(given, str) and given.startswith("@"):
            try:
                lines = Path(given[1:]).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"cannot read the item ids in {given[1:]}: {error}") from None
            found += [line.strip() for line in lines if line.strip()]
        else:
            found.append(str(given) if type(given) is int else given)
    return tuple(found)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _set(values: Any, override: str) -> None:
    """Apply one `section.key=value`; the value is TOML, or plain text where it is not."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override} is not section.key=value")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: '{section}' is a value, not a section")
    values[last] = value


def _explain(error: Any) -> str:
    """Say one validation error in terms of the TOML file."""
    path = [str(part) for part in error["loc"]]
    name = ".".join(path)
    if error["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        return f"unknown key '{name}'; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    if not name:
        return message
    return f"{name} = {json.dumps(error['input'], default=str)}: {message}"


def _known_keys(path: list[str]) -> list[str]:
    section: Any = Config
    for part in path:
        field = section.model_fields.get(part)
        kind = field.annotation if field else None
        options = [kind, *get_args(kind)]
        section = next((k for k in options if isinstance(k, type) and issubclass(k, Section)), None)
        if section is None:
            return []
    return list(section.model_fields)
