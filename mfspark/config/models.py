"""The options of every model: section `models` of the configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from mfspark.config.section import Section
from mfspark.config.spaces import Range, Space

ModelName = Literal[
    "baseline",
    "popularity",
    "user_knn",
    "item_knn",
    "als",
    "ials",
    "bayesian_mf",
    "torch_mf",
    "svd",
    "nmf",
    "slim",
    "ease",
]


class ModelOptions(Section):
    """The options of one model."""

    space: ClassVar[Space] = {}
    """What `mfspark tune` tries, unless `tune.spaces` says otherwise."""
    iterations: ClassVar[str] = ""
    """The option that says how many iterations training has; a fit of fewer can be gone on with."""

    @property
    def n_iterations(self) -> int:
        """How many iterations training has; 0 where it has none."""
        return int(getattr(self, self.iterations)) if self.iterations else 0

    @property
    def uses_times(self) -> bool:
        """Whether the model makes use of when ratings were made."""
        return False

    @property
    def ranks_choices(self) -> bool:
        """Whether the model ranks items by what was chosen, and so can do without ratings."""
        return False

    @property
    def predicts_ratings(self) -> bool:
        """Whether the scores of pairs are ratings."""
        return not self.ranks_choices

    @property
    def knows_users_by_ratings(self) -> bool:
        """Whether the ratings of a user, and what is known of items, are all that lists go by."""
        return True

    def starts_from(self, _width: int, /) -> bool:
        """Whether training can start from published rows of so many factors."""
        return False


class Penalty(NamedTuple):
    """What a row of factors x with n ratings costs: reg * (n + prior_count) * |x|^2."""

    reg: float
    prior_count: float


class PenaltyOptions(ModelOptions):
    """How factors of rating models are regularised; see decision 44."""

    reg: NonNegativeFloat | Literal["auto"] = "auto"
    """L2 weight of a row's factors, in standard deviations of the ratings and times
    (n + prior_count), so that one value serves 5-star and 10-point scales; `auto`: 9.75 / (75 +
    prior_count), so that a row of 75 ratings is drawn to 0 alike by every prior_count."""
    prior_count: NonNegativeFloat | Literal["auto"] = "auto"
    """Ratings every row is taken to have more, where its regularisation is weighed: the more, the
    less it grows with a row's ratings; `auto`: 3/4 sqrt(all ratings), 15 at least and 250 at most,
    or less where the reg that is given goes with less."""

    def penalty(self, n_ratings: int) -> Penalty:
        """Return the weights for a fit on so many ratings."""
        prior_count = self.prior_count
        if prior_count == "auto":
            goes_with_reg = 9.75 / self.reg - 75 if self.reg and self.reg != "auto" else math.inf
            prior_count = max(15.0, min(250.0, 0.75 * math.sqrt(n_ratings), goes_with_reg))
        return Penalty(9.75 / (75 + prior_count) if self.reg == "auto" else self.reg, prior_count)


class BaselineOptions(ModelOptions):
    """mu + b_u + b_i with damped biases."""

    former_names: ClassVar = {"reg_user": "user_damping", "reg_item": "item_damping"}
    space: ClassVar = {
        "user_damping": Range(low=1, high=100, log=True),
        "item_damping": Range(low=1, high=100, log=True),
    }

    user_damping: NonNegativeFloat = 15.0
    """In ratings: a user with so many gets half of their bias."""
    item_damping: NonNegativeFloat = 10.0
    """The same for items."""
    max_iter: PositiveInt = 10
    """Alternations between the two sides."""


class PopularityOptions(ModelOptions):
    """Items by how often they were chosen."""

    half_life_days: PositiveFloat | None = None
    """A rating of so many days before the newest one counts half; unset: all count alike."""

    @property
    def uses_times(self) -> bool:
        """Whether recent ratings count more."""
        return self.half_life_days is not None

    @property
    def ranks_choices(self) -> bool:
        """Always."""
        return True


SimilarityName = Literal[
    "cosine", "cosine_corated", "msd", "pearson", "pearson_baseline", "adjusted_cosine", "jaccard"
]


AggregationName = Literal["mean", "weighted", "centered", "zscore", "baseline"]


class SimilarityOptions(ModelOptions):
    """How alike two users or two items are, and how many neighbors are kept.

    The formulas stand in docs/models.md.
    """

    similarity: SimilarityName = "cosine"
    """`cosine` counts what is not rated as 0; `jaccard` looks only at what is rated, not how; all
    others look only at what both rated."""
    num_neighbors: PositiveInt = 50
    """Neighbors kept (k)."""
    min_support: PositiveInt = 1
    """Ratings two must share to be neighbors; `pearson_baseline` asks for at least 2."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = -1.0
    """Similarity two must have to be neighbors, shrunk and weighted; -1: any."""
    shrinkage: NonNegativeFloat | Literal["auto"] = "auto"
    """Similarities count n / (n + shrinkage) where n ratings are shared; `auto`: 100 for
    `pearson_baseline`, otherwise 0."""
    significance: Annotated[int, Field(ge=0)] = 0
    """Similarities of fewer shared ratings than this count n / significance; 0: all count alike."""
    weighting: Literal["none", "tfidf", "bm25"] = "none"
    """Weights of the ratings in `cosine`, for ranking; the less what both rated is rated by
    others, the more it says."""

    @model_validator(mode="after")
    def _weights_go_with_cosine(self) -> SimilarityOptions:
        if self.weighting != "none" and self.similarity != "cosine":
            raise ValueError(
                f'weighting = "{self.weighting}" goes with similarity = "cosine", not '
                f'"{self.similarity}": the other measures compare ratings themselves'
            )
        return self


class KNNOptions(SimilarityOptions):
    """Whose ratings count, and how they become a prediction (kernels.neighbors.aggregation)."""

    aggregation: AggregationName = "mean"
    """Mean of the neighbors' ratings: `mean` plain, all others weighted by similarity; `centered`,
    `zscore` and `baseline` of how far they are from what they are centered on."""
    among: Literal["all", "raters"] = "all"
    """Whose ratings count: `all`: the num_neighbors nearest, as far as they have one; `raters`: the
    num_neighbors nearest of those who have one, exact and slow (docs/models.md)."""
    min_k: PositiveInt = 1
    """Fewer neighbors than this predict nothing."""
    damping: NonNegativeFloat = 0.5
    """Weight of what ratings are centered on, in ratings by neighbors of similarity 1; not for
    `mean` and `weighted`."""
    rank_by: Literal["rating", "similarity"] = "rating"
    """What lists are ranked by: predicted ratings, or the sum of similarity * rating."""

    @property
    def ranks_choices(self) -> bool:
        """Whether lists are ranked by similarity, and choices alone say who is like whom.

        The other measures compare the ratings of what both rated, and choices are all alike.
        """
        return self.rank_by == "similarity" and self.similarity in ("cosine", "jaccard")

    @property
    def knows_users_by_ratings(self) -> bool:
        """Whether nothing is centered on a user, and nobody else's ratings are looked at."""
        return self.rank_by == "similarity" and self.among == "all"

    @property
    def predicts_ratings(self) -> bool:
        """Always."""
        return True


class UserKNNOptions(KNNOptions):
    """Ratings by the users who are most like a user, in how they differ from the averages."""

    space: ClassVar = {
        "similarity": ("cosine", "msd", "pearson_baseline"),
        "aggregation": ("centered", "zscore", "baseline"),
        "num_neighbors": Range(low=10, high=200, log=True),
        "shrinkage": Range(low=1, high=300, log=True),
        "damping": Range(low=0.1, high=10, log=True),
    }

    similarity: SimilarityName = "pearson_baseline"
    aggregation: AggregationName = "baseline"
    rank_by: Literal["rating", "similarity"] = "similarity"


class ItemKNNOptions(KNNOptions):
    """Ratings and lists by the items that are most like those a user rated."""

    space: ClassVar = {
        "num_neighbors": Range(low=10, high=400, log=True),
        "shrinkage": Range(low=1, high=300, log=True),
        "weighting": ("none", "tfidf", "bm25"),
    }

    aggregation: AggregationName = "baseline"
    damping: NonNegativeFloat = 1.0
    rank_by: Literal["rating", "similarity"] = "similarity"


class AlternatingOptions(ModelOptions):
    """What all alternating least squares have in common."""

    iterations: ClassVar = "max_iter"

    rank: PositiveInt = 32
    max_iter: PositiveInt = 15
    tol: NonNegativeFloat = 1e-4
    """Stop when an iteration changes the training RMSE by less than this share; 0: never."""
    solver: Literal["cholesky", "cg"] = "cg"
    """`cg`: a few steps from the last iteration's solution; `cholesky`: exact, slower."""
    cg_steps: PositiveInt = 3
    init_std: PositiveFloat = 0.1
    """Standard deviation of the starting factors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where `cg` computes; `auto`: on a GPU where there is one."""

    def starts_from(self, width: int, /) -> bool:
        """Whether the rank is the same."""
        return width == self.rank


class ALSOptions(AlternatingOptions, PenaltyOptions):
    """Alternating least squares with biases, for ratings."""

    former_names: ClassVar = {"prior": "prior_count", "bias_damping": "damping"}
    space: ClassVar = {
        "rank": Range(low=8, high=128, log=True),
        "reg": Range(low=0.01, high=0.3, log=True),
        "prior_count": Range(low=10, high=500, log=True),
        "damping": Range(low=0.5, high=20, log=True),
    }

    reg: PositiveFloat | Literal["auto"] = "auto"
    damping: PositiveFloat = 2.0
    """Of the biases of both sides, in ratings, as those of the baseline."""
    biases: bool = True
    nonnegative: bool = False
    """Keep factors at 0 or above; biases stay free."""


class IALSOptions(AlternatingOptions):
    """Alternating least squares for implicit feedback: ranks items by what users chose."""

    former_names: ClassVar = {"threshold": "feedback.choices_from"}
    space: ClassVar = {
        "rank": Range(low=16, high=256, log=True),
        "reg": Range(low=0.0003, high=0.3, log=True),
        "alpha": Range(low=1, high=60, log=True),
        "by_rating": (True, False),
    }

    rank: PositiveInt = 64
    reg: PositiveFloat = 0.03
    """L2 weight of a factor, times the confidence of all cells of its row."""
    alpha: PositiveFloat = 10.0
    """Confidence of a choice is 1 + alpha, see `by_rating`; of any other cell 1."""
    by_rating: bool = True
    """Whether confidence grows with the rating: alpha times rating over their root mean square."""

    @property
    def ranks_choices(self) -> bool:
        """Always."""
        return True


class TorchMFOptions(PenaltyOptions):
    """Matrix factorization by stochastic gradients in torch.

    Learning rate, regularisation and start are in units of the ratings' standard deviation, so that
    one value serves every scale.
    """

    former_names: ClassVar = {"prior": "prior_count", "imprint_damping": "rater_damping"}
    space: ClassVar = {
        "rank": Range(low=8, high=128, log=True),
        "learning_rate": Range(low=0.02, high=0.15, log=True),
        "reg": Range(low=0.01, high=0.4, log=True),
        "prior_count": Range(low=5, high=500, log=True),
        "rater_damping": Range(low=10, high=1000, log=True),
    }
    iterations: ClassVar = "epochs"

    rank: PositiveInt = 32
    objective: Literal["weighted", "squares", "norm"] = "weighted"
    """What falls; see kernels.factorization.sgd. `squares` and `norm` are those of textbooks, for
    small data: all ratings a step, in their own units; plain steps, plain L2 or norms, and no
    rater priors."""
    unrated: Literal["masked", "zero"] = "masked"
    """Whether unrated cells count for nothing, or are zeros (`squares` and `norm`; no centring)."""
    epochs: PositiveInt = 40
    warm_epochs: PositiveInt = 10
    """Epochs where training starts from the base run's factors (models.warm_start)."""
    learning_rate: PositiveFloat = 0.05
    """Of `sgd`; 0.2 suits `adagrad` and 0.02 `adam`."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Factor on the learning rate after each epoch."""
    damping: NonNegativeFloat = 2.0
    """Of the biases of both sides, in ratings, as those of `als`."""
    implicit: bool = True
    """Draw an item's row to the mean of its rater priors instead of to 0."""
    rater_damping: PositiveFloat = 100.0
    """Of the rater priors, in ratings: a user with so many has half of theirs."""
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    batch_size: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Ratings a step; 0: all of a tile; `auto`: 20 steps an epoch, see docs/decisions.md."""
    biases: bool = True
    center: bool = True
    """Whether the global mean is taken off the ratings first."""
    init: Literal["normal", "uniform"] = "normal"
    """Starting factors: normal around 0, or uniform from 0 on."""
    init_std: PositiveFloat = 0.1
    """Standard deviation of the starting factors; 0.2887 makes uniform ones reach up to 1."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training ratings held out for the validation loss and early stopping."""
    patience: PositiveInt = 3
    """Epochs without a better validation loss before training stops."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def textbook(self) -> bool:
        """Whether the objective is one of the two plain ones."""
        return self.objective != "weighted"

    @model_validator(mode="after")
    def _textbooks_are_full_batch(self) -> TorchMFOptions:
        if self.textbook and self.batch_size not in (0, "auto"):
            raise ValueError(f'objective = "{self.objective}" takes all ratings a step: no batches')
        if self.unrated == "zero" and not self.textbook:
            raise ValueError('unrated = "zero" goes with objective = "squares" or "norm"')
        return self

    def starts_from(self, width: int, /) -> bool:
        """Whether the rank is the same."""
        return width == self.rank


class BayesianMFOptions(ModelOptions):
    """Matrix factorization by Gibbs sampling: the most accurate ratings, with intervals."""

    former_names: ClassVar = {"user_periods": "user_time_bins", "item_periods": "item_time_bins"}
    space: ClassVar = {
        "rank": Range(low=8, high=64, log=True),
        "pattern_features": (0, 128, 256, 512, 1024),
        "attributes": (True, False),
    }

    rank: PositiveInt = 16
    samples: PositiveInt = 200
    """Draws after the burn-in."""
    burn_in: Annotated[int, Field(ge=0)] = 30
    """Draws before the first that counts."""
    warm_burn_in: Annotated[int, Field(ge=0)] = 5
    """The same where training starts from the base run's factors (models.warm_start)."""
    keep: PositiveInt = 64
    """How many of the samples, evenly spaced, predictions are averaged over."""
    pattern_features: Annotated[int, Field(ge=0)] = 512
    """Dimensions of the rating patterns of either side that explain factors; 0: none."""
    attributes: bool = True
    """Whether genres and years of items, and attributes of users, explain factors too."""
    user_time_bins: tuple[PositiveInt, ...] = ()
    """Lengths, in minutes, of the time bins in which all ratings of a user share a bias, such as
    (1440, 60). They count where the time of a pair is known: for test ratings, not in lists."""
    item_time_bins: tuple[PositiveInt, ...] = ()
    """The same for the ratings of an item, such as (43200,)."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability with which a rating lies between score_low and score_high."""

    @property
    def uses_times(self) -> bool:
        """Whether it matters when ratings were made."""
        return bool(self.user_time_bins or self.item_time_bins)

    def starts_from(self, width: int, /) -> bool:
        """Whether samples of this rank lie side by side."""
        return width % self.rank == 0


class SVDOptions(ModelOptions):
    """Truncated singular value decomposition of the users x items matrix."""

    space: ClassVar = {"rank": Range(low=4, high=256, log=True)}

    rank: PositiveInt = 32
    """Singular triplets that are kept, where `energy` is unset."""
    energy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Keep the leading triplets that stay below this share, see `energy_of`; 1: all of them."""
    energy_of: Literal["frobenius", "nuclear"] = "frobenius"
    """Share of the squared singular values, of any size; or of the singular values themselves,
    which takes all of them and so a smaller side of some thousands at most."""
    max_rank: PositiveInt = 256
    """Triplets that a share of `frobenius` looks at, where they are not all known."""
    unrated: Literal["zero", "baseline"] = "zero"
    """What an unrated cell counts as: 0, and scores only rank items; or mu + b_u + b_i, and scores
    are ratings."""
    solver: Literal["auto", "gram", "randomized"] = "auto"
    """`gram`: exact, by the Gram matrix of the smaller side; `randomized`: by subspace iteration;
    `auto`: exact up to 2,048 users or items."""
    max_iter: PositiveInt = 8
    """Turns of the subspace iteration at most."""
    tol: NonNegativeFloat = 1e-4
    """Stop when a turn changes the error over all cells by less than this share; 0: never."""

    @property
    def ranks_choices(self) -> bool:
        """Whether an unrated cell counts as 0."""
        return self.unrated == "zero"

    @model_validator(mode="after")
    def _nuclear_is_exact(self) -> SVDOptions:
        if self.energy and self.energy_of == "nuclear" and self.solver == "randomized":
            raise ValueError('energy_of = "nuclear" needs all singular values: solver = "gram"')
        return self


class NMFOptions(ModelOptions):
    """Nonnegative matrix factorization."""

    former_names: ClassVar = {"prior": "prior_count"}
    space: ClassVar = {
        "rank": Range(low=4, high=128, log=True),
        "reg": Range(low=0, high=0.5),
    }
    iterations: ClassVar = "max_iter"

    rank: PositiveInt = 32
    reg: NonNegativeFloat = 0.0
    """L2 weight of the factors: of a row's, or with `masked` in standard deviations of the ratings
    and times (n + prior_count)."""
    prior_count: NonNegativeFloat = 15.0
    """Ratings every row is taken to have more, where its regularisation is weighed (`masked`)."""
    unrated: Literal["zero", "masked"] = "zero"
    """`zero`: an unrated cell counts as 0, and scores only rank items; `masked`: it counts for
    nothing, and scores are ratings."""
    max_iter: PositiveInt = 100
    tol: NonNegativeFloat = 1e-4
    """Stop when an iteration changes the error by less than this share; 0: never."""
    sweeps: PositiveInt = 4
    """Rounds of coordinate descent over a side's factors before the other side has its turn."""

    @property
    def ranks_choices(self) -> bool:
        """Whether an unrated cell counts as 0."""
        return self.unrated == "zero"

    def starts_from(self, width: int, /) -> bool:
        """Whether the rank is the same."""
        return width == self.rank


class SLIMOptions(ModelOptions):
    """Sparse linear methods: ranks items by weights from what a user chose."""

    space: ClassVar = {
        "l1": Range(low=0.1, high=10, log=True),
        "l2": Range(low=10, high=3000, log=True),
    }

    l1: NonNegativeFloat = 1.0
    """In users who chose both of two items: more leaves fewer weights that are not 0."""
    l2: NonNegativeFloat = 200.0
    """The same: more shares weights between items that are chosen together."""
    candidates: Annotated[int, Field(ge=0)] = 0
    """Items that may have a weight for an item, the nearest; 0: all up to 5,000 items, else 200."""
    tol: PositiveFloat = 1e-4
    """Steps up to this share of the users who chose both of two items may be left to take."""

    @property
    def ranks_choices(self) -> bool:
        """Always."""
        return True


class EASEOptions(ModelOptions):
    """Dense weights of items in closed form, for catalogues that fit one machine."""

    space: ClassVar = {"l2": Range(low=10, high=3000, log=True)}

    l2: PositiveFloat = 200.0
    """In users."""
    max_memory_gb: PositiveFloat = 8.0
    """More than this in one task is refused; 28 bytes a pair of items."""

    @property
    def ranks_choices(self) -> bool:
        """Always."""
        return True


class Models(Section):
    """Which models are run, and their options."""

    warm_start: bool = False
    """Fit what is published from the factors of the base run. Models are measured on
    fits from random factors all the same: the base run has seen the test ratings."""

    run: tuple[ModelName, ...] = (
        "baseline",
        "popularity",
        "user_knn",
        "item_knn",
        "als",
        "ials",
        "slim",
        "bayesian_mf",
        "torch_mf",
    )
    baseline: BaselineOptions = BaselineOptions()
    popularity: PopularityOptions = PopularityOptions()
    user_knn: UserKNNOptions = UserKNNOptions()
    item_knn: ItemKNNOptions = ItemKNNOptions()
    als: ALSOptions = ALSOptions()
    ials: IALSOptions = IALSOptions()
    bayesian_mf: BayesianMFOptions = BayesianMFOptions()
    torch_mf: TorchMFOptions = TorchMFOptions()
    svd: SVDOptions = SVDOptions()
    nmf: NMFOptions = NMFOptions()
    slim: SLIMOptions = SLIMOptions()
    ease: EASEOptions = EASEOptions()

    @model_validator(mode="after")
    def _some_and_once(self) -> Models:
        if not self.run or len(set(self.run)) != len(self.run):
            raise ValueError("run must name at least one model, each once")
        return self

    @staticmethod
    def names() -> tuple[ModelName, ...]:
        """Return the names of all models."""
        return get_args(ModelName)

    def of(self, name: ModelName) -> ModelOptions:
        """Return the options of one model."""
        return getattr(self, name)

    def changed(self, name: ModelName, values: Mapping[str, object]) -> Models:
        """Return the same with some options of one model changed. Raises pydantic's error."""
        options = self.of(name)
        other = type(options).model_validate(options.model_dump() | dict(values))
        return self.model_copy(update={name: other})

    @property
    def uses_times(self) -> bool:
        """Whether a model that is run, or popularity, which fills lists, asks when ratings were
        made."""
        return self.popularity.uses_times or any(self.of(name).uses_times for name in self.run)
