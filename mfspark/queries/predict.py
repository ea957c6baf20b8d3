"""What the models of a published run say of one user and one item; needs no Spark.

Factor models are scored from the published factors, r = mu + b_u + b_i + x_u . y_i, neighbor models
from the published neighbors and ratings (formulas: kernels.factorization and kernels.neighbors,
here for one pair, in float64). What a model knows nothing of gets the baseline's prediction, as in
the night itself.
"""

from dataclasses import dataclass

import numpy as np

from mfspark.errors import NotFoundError
from mfspark.models.published_facts import scale_of
from mfspark.models.records import fit_key
from mfspark.queries.lookup import (
    Id,
    check_named,
    look_up,
    look_up_item,
    near_items,
    near_matches,
)
from mfspark.queries.predict_knn import NeighborsOfPair
from mfspark.schemas import SIDES, Side
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Row


@dataclass(frozen=True)
class Opinion:
    """One model's prediction of a pair."""

    model: str
    prediction: float
    tier: str
    """The model itself, or the fallback that answered for it."""
    basis: str
    """In words, what the figure rests on."""


@dataclass(frozen=True)
class Pair:
    """A user and an item, what is known of them, and what each model says."""

    user: Id
    item: Id
    title: str | None
    rating: float | None
    """The known rating."""
    opinions: list[Opinion]
    notes: list[str]
    unknown: tuple[Side, ...] = ()
    """Which of the two nobody knows: what is said is then no prediction for them."""


def predict_pair(
    run: PublishedRun, user_text: str, item_text: str, model: str | None = None
) -> Pair:
    """Predict one pair with every rating model of a run, or with one.

    An unknown user or item is no error: what is known of the other one still counts. Raises
    NotFoundError for a model that predicts no ratings, a title that several items have and an
    empty name.
    """
    check_named("user", user_text)
    check_named("item", item_text)
    user, item = look_up(run, "user", user_text), look_up_item(run, item_text)
    notes: list[str] = []
    if user is None:
        notes.append(f"user '{user_text}' is unknown ({near_matches(run, user_text)})")
    if item is None:
        notes.append(f"item '{item_text}' is unknown ({near_items(run, item_text)})")
    if run.subset != "all":
        notes.append("the models were fitted on the training ratings only (evaluation.refit)")
    scorer = _Scorer(run, user, item)
    return Pair(
        user_text if user is None else user["id"],
        item_text if item is None else item["id"],
        None if item is None else item["title"],
        scorer.known_rating(),
        [scorer.opinion(name) for name in _asked_for(run, model)],
        notes,
        tuple(side for side, row in zip(SIDES, (user, item), strict=True) if row is None),
    )


def rating_models(run: PublishedRun) -> list[str]:
    """Return the models that predict ratings; the baseline, the fallback of others, is last."""
    kinds = {name: _record(run, name).get("kind") for name in run.models}
    names = [name for name, kind in kinds.items() if kind == "rating" and name != "baseline"]
    return [*names, "baseline"]


def _asked_for(run: PublishedRun, model: str | None) -> list[str]:
    names = rating_models(run)
    if model is None:
        return names
    if model not in names:
        reason = "ranks items and predicts no ratings" if model in run.models else "was not run"
        raise NotFoundError(
            f"model '{model}' {reason} in run {run.run_id}", f"models: {', '.join(names)}"
        )
    return [model]


def _record(run: PublishedRun, model: str) -> Row:
    fit = run.record(fit_key(run.subset, model))
    return {} if fit is None else fit.record


@dataclass(frozen=True)
class _Scorer:
    """Scores the pair of a user and an item; None stands for one that the run does not know."""

    run: PublishedRun
    user: Row | None
    item: Row | None

    def known_rating(self) -> float | None:
        """Return the rating this user gave this item."""
        if self.user is None or self.item is None:
            return None
        ids = (self.user["id"], self.item["id"])
        rows = self.run.rows("select rating from {ratings} where user_id = ? and item_id = ?", *ids)
        return rows[0]["rating"] if rows else None

    def opinion(self, model: str) -> Opinion:
        """Return one model's prediction, or the baseline's in its place."""
        score = self._by_neighbors if "neighbors" in _record(self.run, model) else self._by_factors
        found = None if model == "baseline" else score(model)
        tier = model if found else "baseline"
        prediction, basis = found or self._by_biases()
        return Opinion(model, float(scale_of(self.run).adjust(np.asarray(prediction))), tier, basis)

    def _by_factors(self, model: str) -> tuple[float, str] | None:
        user, item = self._factors(model, "user"), self._factors(model, "item")
        if user is None or item is None:
            return None
        x, y = (np.asarray(row["factors"], np.float64) for row in (user, item))
        mean, b_u, b_i = float(_record(self.run, model)["mean"]), user["bias"], item["bias"]
        dot = float(x @ y)
        basis = f"{mean:.2f} mean {b_u:+.2f} user {b_i:+.2f} item {dot:+.2f} taste"
        return mean + b_u + b_i + dot, basis

    def _factors(self, model: str, side: Side) -> Row | None:
        """Return bias and factors; None where the model has none for this row, or never fitted it.

        A row without ratings in the part the model was fitted on is published as zeros. (A fitted
        row can be zeros too, where all ratings are equal.)
        """
        row, known = self._published(model, side), self.user if side == "user" else self.item
        if row is None or known is None:
            return None
        rated = self.run.subset == "all" and known["n_ratings"] > 0
        return row if rated or row["bias"] != 0 or any(row["factors"]) else None

    def _published(self, model: str, side: Side) -> Row | None:
        known = self.user if side == "user" else self.item
        if known is None:
            return None
        query = f"select bias, factors from {{{side}_factors}} where {side}_id = ? and model = ?"
        rows = self.run.rows(query, known["id"], model)
        return rows[0] if rows else None

    def _by_biases(self) -> tuple[float, str]:
        """Return mu + b_u + b_i with what is known of them: the baseline is never at a loss."""
        mean = float(_record(self.run, "baseline").get("mean") or self._mean())
        score, basis = mean, f"{mean:.2f} mean"
        sides: tuple[Side, Side] = ("user", "item")
        for side in sides:
            row = self._published("baseline", side)
            if row is not None:
                score += row["bias"]
                basis += f" {row['bias']:+.2f} {side}"
        return score, basis

    def _mean(self) -> float:
        return self.run.rows("select avg(rating) as mean from {ratings}")[0]["mean"]

    def _by_neighbors(self, model: str) -> tuple[float, str] | None:
        if self.user is None or self.item is None:
            return None
        ids: dict[Side, Id] = {"user": self.user["id"], "item": self.item["id"]}
        return NeighborsOfPair(self.run, _record(self.run, model), ids).prediction()
