"""A tiny published run, made by hand without Spark: 4 users, 5 items, 8 ratings.

rating     i1   i2   i3   i4   i5        user 4 has no neighbors; nobody rated i5;
user 1      5    3    .    .    .        i2 and i3 have the same title
user 2      4    .    2    .    .
user 3      .    1    5    4    .
user 4      3    .    .    .    .
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.config.config import Config
from mfspark.config.models import KNNOptions
from mfspark.evaluation.catalog import REFERENCES
from mfspark.evaluation.champion import Champion
from mfspark.evaluation.gates import Verdict
from mfspark.grid.layout import GridLayout, TileSet
from mfspark.ingest.report import IngestReport, SideCounts
from mfspark.models.records import SERVING
from mfspark.pipeline.judge import _refuse
from mfspark.schemas import IdTypes, table_schema
from mfspark.tables.manifest import MANIFEST
from mfspark.tables.night import Night
from mfspark.tables.publish import publish
from mfspark.tables.warehouse import Warehouse
from tests.support.night_tables import put_table
from tests.support.records import raw

IDS = IdTypes("integer", "string")
RUN_DATE = date(2026, 11, 22)
MEAN = 3.375
VARIANCE = 1.734375
REASONS = {
    ("user_knn", "i4"): ["3"],
    ("user_knn", "i3"): ["3", "2"],
    ("item_knn", "i4"): ["i2"],
    ("item_knn", "i3"): ["i1", "i5"],
}
MODELS = ("popularity", "user_knn", "als")
RATINGS = [
    (1, "i1", 5.0), (1, "i2", 3.0), (2, "i1", 4.0), (2, "i3", 2.0),
    (3, "i2", 1.0), (3, "i3", 5.0), (3, "i4", 4.0), (4, "i1", 3.0),
]  # fmt: skip
ODD_TITLE = "[bold]Odd[/bold] \x1b[31mred"
EVIL = ["=1+1", "+1", "-1", "@sum(a)", "\tx", "\r=1", "\uff1d1", "\uff0d1", "\uff0b1", "\uff20a"]
"""Names that spreadsheets would compute."""
TITLES = {"i1": "First (1999)", "i2": "Twice", "i3": "Twice", "i4": ODD_TITLE, "i5": None}
NEIGHBORS = [(1, 2, 1, 0.75, 1), (1, 3, 2, 0.5, 1), (2, 1, 1, 0.75, 1), (3, 1, 1, 0.5, 1)]
ITEM_NEIGHBORS = [("i3", "i1", 1, 0.75, 1), ("i3", "i2", 2, 0.25, 1), ("i4", "i2", 1, 0.5, 1)]
USER_FACTORS = {
    1: (0.5, [1.0, 0.0]),
    2: (-0.25, [0.0, 2.0]),
    3: (0.0, [1.0, 1.0]),
    4: (9.0, [9.0, 9.0]),
}
ITEM_FACTORS = {
    "i1": (0.25, [0.5, 0.5]),
    "i2": (-0.5, [-1.0, 0.0]),
    "i3": (0.0, [0.25, -0.25]),
    "i4": (0.125, [1.0, 1.0]),
    "i5": (0.0, [0.0, 0.0]),  # never fitted
}
USER_BIAS = {1: 0.25, 2: -0.25, 3: 0.0, 4: -0.125}
ITEM_BIAS = {"i1": 0.5, "i2": -0.5, "i3": 0.0, "i4": 0.25, "i5": 0.0}
METRICS = [("baseline", 1.0), ("user_knn", 1.25), ("als", 0.875)]


def publish_run(
    root: Path,
    run_date: date = RUN_DATE,
    ndcg: dict[str, float] | None = None,
    verdicts: Sequence[dict[str, Any]] = (),
    **options: Any,
) -> str:
    """Publish the made run and return its id; `options` are those of `made_night`.

    `ndcg` gives models another figure than 0.5.
    """
    night = made_night(root, run_date, **options)
    return publish(night, IDS, _metrics(ndcg or {}), list(verdicts)).run_id


def refuse_run(root: Path, run_date: date, verdicts: Sequence[Verdict], **options: Any) -> str:
    """Make the run, refuse it as nights are, and return its id."""
    measured = {"evaluate": {"metrics": _metrics({})}}
    night = made_night(root, run_date, facts=measured, **options)
    _refuse(night, list(verdicts))
    return night.run_id


def made_night(
    root: Path,
    run_date: date = RUN_DATE,
    mark: int = 0,
    facts: dict[str, Any] | None = None,
    filled: tuple[str, ...] = (),
    inputs: list[dict[str, Any]] | None = None,
    factors_of: str = "als",
    served: str | None = "",
    listed: tuple[str, ...] = ("i4", "i3", "i5"),
    **config: Any,
) -> Night:
    """Make the run, ready to be published; `mark` makes another run of the same tables.

    `facts` is what further stages recorded; the lists of the models `filled` are popularity's.
    `inputs` are the fingerprints of what was read.
    `served` is the champion, by default the first model that is no reference; None: there is none,
    as in runs of older versions. `listed` is what user 1 gets.
    """
    options: dict[str, Any] = {
        "publish": {"n": 4},
        "completed": {"max_cells": 0},
        "models": {
            "run": MODELS,
            "als": {"rank": 2},
            "user_knn": {"num_neighbors": 2, "aggregation": "mean"},
            "item_knn": {"num_neighbors": 2},
        },
        **config,
    }
    read = inputs or [{"mark": mark}]
    night = Night.begin(Warehouse(root), Config.model_validate(options), run_date, read)
    run = night.config.models.run
    if served == "":
        served = next((name for name in run if name not in REFERENCES), run[0])
    for table, rows in _tables(filled, factors_of, served, listed).items():
        schema = table_schema(table, IDS)
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        put_table(night, table, pa.Table.from_pylist(filled, schema))
    stages = _stages(night.config)
    if served:
        champion = Champion(served, "it was made so", "ndcg", 10, {served: 0.5})
        stages["serving"] = SERVING.dump(champion)
    for stage, recorded in (stages | (facts or {})).items():
        night.finish(raw(stage), recorded)
    return night


def publish_ials(root: Path, **config: Any) -> Path:
    """Publish the made run with the factors of als as those of ials, and return its warehouse."""
    models = {"run": ("ials",), **config.pop("models", {})}
    publish_run(root, factors_of="ials", models=models, **config)
    return root


def with_former_keys(root: Path, run_id: str) -> None:
    """Make the configuration of a run what it was when `als` had a prior and a bias_damping."""
    path = Path(root, "runs", run_id, MANIFEST)
    manifest = json.loads(path.read_text())
    als = manifest["config"]["models"]["als"]
    als |= {"prior": als.pop("prior_count"), "bias_damping": als.pop("damping")}
    path.write_text(json.dumps(manifest))


def without_feedback(root: Path, threshold: float | None) -> None:
    """Make the configuration of the current run what it was when `ials` had a threshold."""
    warehouse = Warehouse(root)
    path = Path(root, "runs", warehouse.manifest(None).run_id, MANIFEST)
    manifest = json.loads(path.read_text())
    del manifest["config"]["feedback"]
    manifest["config"]["models"]["ials"]["threshold"] = threshold
    path.write_text(json.dumps(manifest))


def with_former_names(root: Path, run_id: str) -> None:
    """Make neighbors and factors of a run as mfspark wrote them first: ids are called `id`."""
    path = Path(root, "runs", run_id, MANIFEST)
    manifest = json.loads(path.read_text())
    for side in ("user", "item"):
        former = {f"{side}_id": "id", f"neighbor_{side}_id": "neighbor_id"}
        for table in (f"{side}_neighbors", f"{side}_factors"):
            columns = manifest["tables"][table]["schema"]
            manifest["tables"][table]["schema"] = {former.get(c, c): t for c, t in columns.items()}
            for file in (path.parent / table).glob("*.parquet"):
                content = pq.read_table(file)
                names = [former.get(name, name) for name in content.column_names]
                pq.write_table(content.rename_columns(names), file)
    path.write_text(json.dumps(manifest))


def _tables(
    filled: tuple[str, ...], factors_of: str, served: str | None, listed: tuple[str, ...]
) -> dict[str, list[dict[str, Any]]]:
    lists = [
        {"model": model, "user_id": 1, "rank": rank, "item_id": item, "score": 5.0 - rank,
         "tier": "popularity" if model in filled else model, "title": TITLES[item],
         "reason": REASONS.get((model, item))}
        for model in dict.fromkeys((*MODELS, "item_knn", *filled, *([served] * bool(served))))
        for rank, item in enumerate(listed, 1)
    ]  # fmt: skip
    serving = {"serving": [row for row in lists if row["model"] == served]} if served else {}
    return serving | {
        "ratings": [{"user_id": u, "item_id": i, "rating": r} for u, i, r in RATINGS],
        "rejected_ratings": [],
        "users": [
            {"user_id": u, **_statistics([r for user, _, r in RATINGS if user == u])}
            for u in USER_BIAS
        ],
        "items": [
            {"item_id": i, "title": title, **_statistics([r for _, j, r in RATINGS if j == i])}
            for i, title in TITLES.items()
        ],
        "user_neighbors": [_neighbor("user", row) for row in NEIGHBORS],
        "item_neighbors": [_neighbor("item", row) for row in ITEM_NEIGHBORS],
        "user_factors": _factors(factors_of, "user_id", USER_FACTORS, USER_BIAS),
        "item_factors": _factors(factors_of, "item_id", ITEM_FACTORS, ITEM_BIAS),
        "top_n": lists,
    }


def _statistics(ratings: list[float]) -> dict[str, Any]:
    if not ratings:
        return {"n_ratings": 0}
    std = statistics.stdev(ratings) if len(ratings) > 1 else None
    return {"n_ratings": len(ratings), "mean": statistics.fmean(ratings), "std": std}


def _neighbor(side: str, row: tuple[Any, ...]) -> dict[str, Any]:
    names = (f"{side}_id", f"neighbor_{side}_id", "rank", "similarity", "n_common")
    return dict(zip(names, row, strict=True))


def _factors(
    model: str, key: str, factors: dict[Any, Any], biases: dict[Any, float]
) -> list[dict[str, Any]]:
    rows = [
        {"model": model, key: k, "bias": 0.0 if model == "ials" else b, "factors": f}
        for k, (b, f) in factors.items()
    ]
    return rows + [
        {"model": "baseline", key: k, "bias": b, "factors": list[float]()}
        for k, b in biases.items()
    ]


def _stages(config: Config) -> dict[str, dict[str, Any]]:
    report = IngestReport(
        n_rows=11,
        n_accepted=8,
        n_rejected=2,
        n_later=1,
        rejected_by_reason={"missing_user": 1, "rating_not_a_number": 1},
        rating_scale=(1.0, 5.0),
        rating_step=1.0,
        ids=IDS,
        n_users=4,
        n_items=5,
        described_items=SideCounts(n=5, n_unrated=1),
        read_as={"ratings.csv": "text split by ','"},
    )
    stages: dict[str, dict[str, Any]] = {"ingest": asdict(report)}
    for subset in ("train", "all"):
        layout = GridLayout(len(USER_BIAS), len(ITEM_BIAS), 1, 1)
        tiles = TileSet(f"{subset}/tiles", layout, len(RATINGS), MEAN, VARIANCE, 1.0, 5.0)
        stages[f"cut-{subset}"] = {"tiles": asdict(tiles)}
        facts: dict[str, dict[str, Any]] = {
            "baseline": {"kind": "rating", "mean": MEAN, "total": True},
            "popularity": {"kind": "ranking", "mean": 0.0},
            "user_knn": _knn("user", config.models.user_knn),
            "item_knn": _knn("item", config.models.item_knn),
            "als": {"kind": "rating", "mean": MEAN},
        }
        stages |= {
            f"fit-{subset}-{name}": {"record": record, "seconds": 1.0}
            for name, record in facts.items()
        }
    return stages


def _knn(side: str, options: KNNOptions) -> dict[str, Any]:
    mean = MEAN if options.aggregation == "baseline" else 0.0
    given = {"options": options.model_dump(), "neighbors": {"side": side}}
    return {"kind": "rating", "mean": mean, **given}


def _metrics(ndcg: dict[str, float]) -> list[dict[str, Any]]:
    def row(model: str, metric: str, k: int | None, value: float) -> dict[str, Any]:
        return {
            "model": model, "split": "random", "metric": metric, "k": k,
            "value": value, "low": value - 0.125, "high": value + 0.125, "n": 2,
        }  # fmt: skip

    return [row(model, "rmse", None, value) for model, value in METRICS] + [
        row(model, "ndcg", 10, value)
        for model, value in {**dict.fromkeys(("baseline", *MODELS), 0.5), **ndcg}.items()
    ]
