"""Every algorithm of Surprise on a few ratings; MovieLens 100K is in `benchmarks.knn parity`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mfspark.config.models import ModelName
from tests.support.contract import options_of
from tests.support.grids import fitter, stars

surprise = pytest.importorskip("surprise")

K = 6
RATINGS = stars(7, 60, 40, 0.35)
TEST = np.arange(len(RATINGS)) % 5 == 0
SIMILARITIES = {"cosine_corated": "cosine"}  # the others have the same name in both


@pytest.mark.parametrize("name", ["user_knn", "item_knn"])
@pytest.mark.parametrize("similarity", ["cosine_corated", "msd", "pearson", "pearson_baseline"])
@pytest.mark.parametrize(
    ("aggregation", "algorithm"),
    [("weighted", "KNNBasic"), ("centered", "KNNWithMeans"), ("zscore", "KNNWithZScore"),
     ("baseline", "KNNBaseline")],
)  # fmt: skip
def test_predictions_are_surprises(
    tmp_path: Path, name: ModelName, similarity: str, aggregation: str, algorithm: str
) -> None:
    train, test = RATINGS.take(~TEST), RATINGS.take(TEST)
    table = pd.DataFrame({"user": train.users, "item": train.items, "rating": train.values})
    data = surprise.Dataset.load_from_df(table, surprise.Reader(rating_scale=(0.5, 5)))
    measure = {"name": SIMILARITIES.get(similarity, similarity), "user_based": name == "user_knn"}
    model = getattr(surprise, algorithm)(k=K, sim_options=measure, verbose=False)
    model.fit(data.build_full_trainset())
    pairs = zip(test.users.tolist(), test.items.tolist(), test.values.tolist(), strict=True)
    expected = np.array([found.est for found in model.test(list(pairs))])
    options = options_of(
        name, similarity=similarity, aggregation=aggregation, among="raters", num_neighbors=K,
        damping=0.0,
    )  # fmt: skip
    found = fitter(tmp_path, name, options)(train, 2).predict(test.users, test.items)
    known = ~np.isnan(found)
    apart = np.abs(np.clip(found, 0.5, 5) - expected)[known] > 1e-5
    assert known.mean() > 0.9
    # Surprise rounds similarities that are equal apart, and so breaks some ties in another way.
    assert apart.mean() <= (0.05 if similarity in ("cosine_corated", "pearson") else 0.0)
