"""What the commands answer from tables is what the night itself computed."""

from __future__ import annotations

import pytest

from mfspark.queries.lookup import list_of
from mfspark.queries.predict import predict_pair
from mfspark.queries.summary import summarise
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from tests.support.nights import LISTS_OF_RATINGS


@pytest.fixture(scope="module")
def survey(survey_night: Night) -> PublishedRun:
    return PublishedRun(survey_night.warehouse.root, survey_night.run_id)


def test_predictions_are_the_scores_of_the_published_lists(survey: PublishedRun) -> None:
    rows = survey.rows("select * from {top_n} where tier = model")
    rows = [row for row in rows if row["model"] in LISTS_OF_RATINGS]
    assert {row["model"] for row in rows} == LISTS_OF_RATINGS
    for row in rows[::5]:
        (opinion,) = predict_pair(survey, row["user_id"], row["item_id"], row["model"]).opinions
        assert opinion.tier == row["model"]
        assert opinion.prediction == pytest.approx(row["score"], abs=1e-5)  # lists are float32


def test_predictions_of_rated_pairs_are_those_of_the_completed_table(survey: PublishedRun) -> None:
    rmse = {m["model"]: m["value"] for m in survey.manifest.metrics if m["metric"] == "rmse"}
    best = min(rmse, key=lambda model: rmse[model])
    cells = survey.rows("select * from {completed} where user_id <= 'Respondent 03'")
    assert len(cells) == 30
    for row in cells:
        pair = predict_pair(survey, row["user_id"], row["item_id"], best)
        assert pair.rating == row["rating"]
        assert pair.opinions[0].prediction == pytest.approx(row["prediction"], abs=1e-9)


def test_item_knn_predicts_what_it_predicted_for_the_test_ratings(survey: PublishedRun) -> None:
    """From tables of all ratings, so nearly, and never by another way round."""
    rows = survey.rows("select * from {test_predictions} where model = 'item_knn'")
    asked = rows[::4]
    found = [
        predict_pair(survey, row["user_id"], row["item_id"], "item_knn").opinions[0]
        for row in asked
    ]
    assert {opinion.tier for opinion in found} == {"item_knn"}
    apart = [abs(o.prediction - row["prediction"]) for o, row in zip(found, asked, strict=True)]
    assert max(apart) < 1.0


@pytest.mark.parametrize(
    ("model", "rated"),
    [
        ("user_knn", "r.user_id = l.reason and r.item_id = l.item_id"),
        ("item_knn", "r.item_id = l.reason and r.user_id = l.user_id"),
        ("slim", "r.item_id = l.reason and r.user_id = l.user_id"),
    ],
)
def test_reasons_are_neighbors_who_rated_it_or_items_they_rated(
    survey: PublishedRun, model: str, rated: str
) -> None:
    counts = survey.rows(
        f"""with l as (select user_id, item_id, unnest(reason) as reason from {{top_n}}
                       where model = ?)
            select count(*) as n, count(r.rating) as known
            from l left join {{ratings}} r on {rated}""",
        model,
    )
    assert counts[0]["n"] == counts[0]["known"] > 100
    silent = survey.rows("select tier, model from {top_n} where reason is null group by all")
    assert {row["tier"] for row in silent if row["model"] == model} <= {"popularity"}
    given = survey.rows("select distinct model from {top_n} where reason is not null")
    assert {row["model"] for row in given} == {"user_knn", "item_knn", "slim"}


def test_the_heatmap_has_every_pair_of_users_as_similar_as_neighbors_are(
    survey: PublishedRun,
) -> None:
    pairs = survey.rows("select * from {user_heatmap}")
    assert len(pairs) == 45 * 45
    found = {(row["user_id"], row["other_user_id"]): row["similarity"] for row in pairs}
    neighbors = survey.rows("select * from {user_neighbors}")
    assert len(neighbors) > 45 * 40
    for row in neighbors:
        assert found[row["user_id"], row["neighbor_user_id"]] == row["similarity"]
    for row in survey.rows("select user_id, n_ratings from {users}"):
        shared = row["n_ratings"] - 1  # as like as can be, shrunk by the default's 100
        alike = found[row["user_id"], row["user_id"]]
        assert alike == pytest.approx(shared / (shared + 100), abs=1e-12)


def test_lists_hold_every_unseen_item_once(survey: PublishedRun) -> None:
    found = list_of(survey, "Respondent 45", "torch_mf", 50)
    rated = {row["item_id"] for row in found.favourites}
    assert {row["item_id"] for row in found.rows} | rated == {
        row["item_id"] for row in survey.rows("select item_id from {items}")
    }
    assert len(found.rows) + found.user["n_ratings"] == 10


def test_the_summary_says_what_was_asked_for_beyond_what_there_is(survey: PublishedRun) -> None:
    summary = summarise(survey)
    notes = "\n".join(summary.notes)
    assert "publish.n = 10 asked, only 0 to 7 unseen items exist for 45 users" in notes
    assert "models.user_knn.num_neighbors = 50, and a user has 44 others at most" in notes
    assert "above the smaller side of the ratings (10), where a smaller rank fits" in notes
    assert "models.als.rank = 32, models.ials.rank = 64" in notes
    assert "evaluation.k = 10 reaches the whole catalogue (10 items)" in notes
    ingest = summary.ingest
    assert (ingest.n_rows, ingest.n_accepted, ingest.rejected_by_reason) == (376, 376, {})
    assert summary.table_rows["completed"] == 450
    assert set(summary.models) == set(survey.models)
