"""What making the served lists more varied costs, and what it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mfspark.models.records import Trade
from mfspark.pipeline.measuring.user_measures import MeasureUsers, measure, segments_of
from mfspark.pipeline.ranking.ranked import rank_items
from mfspark.pipeline.ranking.reranker import reranker_of

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.fits import Fits


def measure_trade(fits: Fits, name: ModelName) -> Trade:
    """Measure what variety costs and gives: the lists of a model before and after, from train.

    Ranks once more, as far as there are candidates.
    """
    dataset = fits.dataset
    k = dataset.context.config.evaluation.k
    reranker = reranker_of(fits, name, "train", k)
    assert reranker is not None
    plain = MeasureUsers(
        store=dataset.context.store,
        test=dataset.tiles("test"),
        relevant_from=dataset.relevant_from,
        k=k,
        segments=segments_of(fits),
        ranked=rank_items(fits, name, "train", reranker.n_candidates, explained=False),
    )
    figures = [
        {
            metric.name: figure.value
            for metric, figure in measured.figures()
            if figure.value is not None
        }
        for label, each in (("plain", plain), ("varied", replace(plain, reranker=reranker)))
        for measured in measure(fits, [each], f"trade/{label}")
    ]
    return Trade(name, *figures)
