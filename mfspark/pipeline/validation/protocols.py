"""How ratings are cut again and again: at random, by time, or by users.

folds      every rating is held out once, at random                   (k-fold)
windows    the latest ratings, window by window, each predicted from what came before it
users      every user is held out once, whole, and taken in afterwards by part of their ratings
           (strong generalisation, Marlin 2004): only models that fold in users
"""

from __future__ import annotations

from typing import Literal

from pyspark.sql import DataFrame

from mfspark.evaluation.splits import folds_of_pairs, groups_of_users, windows_in_time
from mfspark.pipeline.dataset import Dataset

ProtocolName = Literal["folds", "windows", "users"]


def parts_of(dataset: Dataset, protocol: ProtocolName) -> list[dict[str, DataFrame]]:
    """Return the frames of each part, by what they are: fitted, held and, for `users`, known.

    Raises ConfigError where windows are asked for and no rating has a time.
    """
    config, ratings = dataset.context.config, dataset.ratings("all")
    n, share, seed = config.evaluation.folds, config.evaluation.test_share, config.seed
    if protocol == "users":
        groups = groups_of_users(ratings, n, share, seed)
        return [{"fitted": f, "known": k, "held": h} for f, k, h in groups]
    if protocol == "windows":
        pairs = windows_in_time(ratings, n, share, seed)
    else:
        pairs = folds_of_pairs(ratings, n, seed)
    return [{"fitted": fitted, "held": held} for fitted, held in pairs]
