"""The prediction of one pair from published neighbors, by the formulas of the night's kernels."""

from dataclasses import dataclass

import numpy as np

from mfspark.config.models import KNNOptions
from mfspark.kernels.neighbors.aggregation import Aggregation, Centering
from mfspark.models.records import cut_key
from mfspark.queries.lookup import Id
from mfspark.schemas import Side, other
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Row

_NAMED = 3  # neighbors that are named


@dataclass(frozen=True)
class NeighborsOfPair:
    """The published neighbors of a user, or of an item, who have a rating for the pair."""

    run: PublishedRun
    record: Row
    """What the model recorded when it was fitted."""
    ids: dict[Side, Id]

    def prediction(self) -> tuple[float, str] | None:
        """Return the prediction and what it rests on; None where too few neighbors have a rating.

        Where `among = "raters"`, it is over the published neighbors all the same: whoever else is
        near stands in no table.
        """
        options = KNNOptions.model_validate(self.record["options"])
        rated = self._rated()
        if not rated:
            return None
        centering, n = self._centering(options, [row["id"] for row in rated]), len(rated)
        aggregation = Aggregation(options.aggregation, options.min_k, options.damping)
        ratings = np.array([row["rating"] for row in rated])
        similarity = np.array([row["similarity"] for row in rated])
        z = centering.deviations(ratings, np.arange(n), np.zeros(n, int))
        q = aggregation.of_lists(similarity[None], z[None])
        if np.isnan(q[0]):
            return None
        prediction = centering.ratings(q, np.array([n]), np.array([0]))
        return float(prediction[0]), self._basis(rated, aggregation.weights(similarity))

    @property
    def _side(self) -> Side:
        """Whose neighbors count."""
        return self.record["neighbors"]["side"]

    def _rated(self) -> list[Row]:
        """Return id, similarity and rating of the neighbors that have one, nearest first."""
        side, across = self._side, other(self._side)
        return self.run.rows(
            f"""select r.{side}_id as id, n.similarity, r.rating from {{{side}_neighbors}} n
                join {{ratings}} r on r.{side}_id = n.neighbor_{side}_id
                where n.{side}_id = ? and r.{across}_id = ? order by n.rank""",
            self.ids[side],
            self.ids[across],
        )

    def _centering(self, options: KNNOptions, neighbors: list[Id]) -> Centering:
        """Return what the neighbors, and last the row itself, are centered on; one column."""
        side, rows = self._side, [*neighbors, self.ids[self._side]]
        if options.aggregation == "baseline":
            level = self.record["mean"] + self._biases(side, rows)
            column = self._biases(other(side), [self.ids[other(side)]])
            return Centering(level, np.ones(len(rows)), column)
        if options.aggregation in ("centered", "zscore"):
            means, spreads = self._means_and_spreads(side, rows)
            if options.aggregation == "centered":
                spreads = np.ones(len(rows))
            return Centering(means, spreads, np.zeros(1))
        return Centering.none(len(rows), 1)

    def _biases(self, side: Side, ids: list[Id]) -> np.ndarray:
        query = f"select {side}_id as id, bias from {{{side}_factors}} where model = 'baseline'"
        rows = self.run.rows(f"{query} and {side}_id in ({_marks(ids)})", *ids)
        found = {row["id"]: row["bias"] for row in rows}
        return np.array([found.get(key, 0.0) for key in ids], np.float64)

    def _means_and_spreads(self, side: Side, ids: list[Id]) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations; where all ratings are alike that of all ratings."""
        rows = self.run.rows(
            f"""select {side}_id as id, mean,
                       coalesce(std, 0) * sqrt((n_ratings - 1) / n_ratings) as spread
                from {{{side}s}} where {side}_id in ({_marks(ids)})""",
            *ids,
        )
        found = {row["id"]: row for row in rows}
        cut = self.run.record(cut_key(self.run.subset))
        assert cut is not None
        means = np.array([found[key]["mean"] for key in ids])
        return means, np.array([found[key]["spread"] or cut.tiles.std for key in ids])

    def _basis(self, rated: list[Row], weights: np.ndarray) -> str:
        side = self._side
        listed = self.run.rows(
            f"select count(*) as n from {{{side}_neighbors}} where {side}_id = ?", self.ids[side]
        )[0]["n"]
        counted = [row for row, weight in zip(rated, weights, strict=True) if weight > 0]
        whose = "neighbors rated it" if side == "user" else "items like it were rated"
        named = ", ".join(f"{row['id']} {row['rating']:g}" for row in counted[:_NAMED])
        return f"{len(counted)} of {listed} {whose}: {named}"


def _marks(ids: list[Id]) -> str:
    return ", ".join("?" * len(ids))
