"""What making the served lists more varied costs, and what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from mfspark.evaluation.metrics import mean_metrics, user_ranks
from mfspark.kernels.lists.thirds import Thirds
from mfspark.models.records import Trade
from mfspark.pipeline.ranking.list_figures import EVERYTHING, list_figures, ratings_of
from mfspark.pipeline.ranking.ranked import lists_of, rank_items
from mfspark.pipeline.ranking.reranker import reranker_of

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.fits import Fits


def measure_trade(fits: Fits, name: ModelName) -> Trade:
    """Measure what variety costs and gives: the lists of a model before and after, from train.

    Ranks once more, as far as there are candidates, and joins both lists with the test part.
    """
    dataset = fits.dataset
    k = dataset.context.config.evaluation.k
    reranker = reranker_of(fits, name, "train", k)
    assert reranker is not None
    ranked = [rank_items(fits, name, "train", reranker.n_candidates, explained=False)]
    popularity = Thirds.of(ratings_of(fits, "train", "item"))
    figures: list[dict[str, float]] = []
    for chooses in (None, reranker):
        lists = lists_of(fits, ranked, k, chooses)
        ranks = user_ranks(lists, dataset.ratings("test"), k, dataset.relevant_from)
        said = list_figures(fits, ranked, "train", k, popularity, chooses)
        listed = said.filter(F.col("part") == EVERYTHING)
        rows = mean_metrics(ranks, "ranking", k).unionByName(mean_metrics(listed, "listed", k))
        figures.append({row["metric"]: row["value"] for row in rows.collect()})
    return Trade(name, *figures)
