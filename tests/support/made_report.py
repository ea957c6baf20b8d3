"""A report of everything, and one of next to nothing, made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from mfspark.evaluation.catalog import COVERAGE, NDCG, RMSE
from mfspark.evaluation.champion import Challenger, Champion
from mfspark.ingest.report import IngestReport
from mfspark.queries.completed import CompletedMatrix
from mfspark.queries.list_search import SearchableLists
from mfspark.queries.list_worth import SegmentFigures, TradeOff, TradePoint
from mfspark.queries.lookup import ListSource, UserList
from mfspark.queries.night_history import NightFigures, NightHistory
from mfspark.queries.night_verdict import GateRow, NightVerdict
from mfspark.queries.report.content import (
    Bar,
    Distribution,
    Heatmap,
    LossCurve,
    Rejected,
    Report,
)
from mfspark.queries.summary import Figure, MetricFigures, RunSummary
from mfspark.schemas import IdTypes

EVIL = "</script><img src=x onerror=alert(1)> & \x1b[31mred"
INGEST = IngestReport(0, 0, 0, 0, {}, (1.0, 5.0), None, IdTypes(), 0, 0)
NOTHING = RunSummary("2026-11-22-abc", Path(), "none", [], [], {}, INGEST, None, None, [])
PUBLISHED = NightVerdict("published", "This night was published.", [], [], [])
EMPTY = Report(
    *(NOTHING, PUBLISHED, "2026-11-22", "2026-11-22 03:00 UTC", "2026-11-22 08:00 UTC", "0.1"),
    counts={"ratings": 8},
)
SUMMARY = replace(
    NOTHING,
    metrics=[
        MetricFigures(
            RMSE, "RMSE", {"als": Figure(0.9, 0.8, 1.0, best=True), "baseline": Figure(1.0)}
        ),
        MetricFigures(COVERAGE, "coverage@10", {"als": Figure(0.5)}),
        MetricFigures(NDCG, "NDCG@10", {"als": Figure(0.25, 0.2, 0.3, best=True)}),
    ],
    ingest=replace(INGEST, n_rows=12, read_as={"r.csv": "text split by ','"}),
    table_rows={"ratings": 8},
    champion=Champion(
        *("als", "none is surely better", "ndcg", 10, {"als": 0.25, "ials": 0.3125}, "als"),
        (Challenger("ials", 0.0625, -0.0125, 0.125, 943),),
    ),
)
GATES = [
    GateRow("ranking", "fall of NDCG", "refused", "als", "31.0% (25.0% to 40.0%)", "10.0%",
            "0.5000", "0.3450", "NDCG is worse", 3),
    GateRow("rejected", "rise of rejected rows", "warned", "rows", "4.0%", "2.0%", "1.0%", "5.0%"),
    GateRow("audits", "rows that break it", "passed", "ids", "0", "0", n=41),
    GateRow("drift", "difference", "not judged", why="off", n=0),
]  # fmt: skip
NIGHTS = [
    NightFigures(f"2026-11-2{day}-abc", date(2026, 11, 20 + day), "als",
                 {"ndcg": 0.2 + day / 100, "ratings": 8.0 + day, "churn": 0.25 / day},
                 {"ingest": 1.5, "train als": 2.0 + day})
    for day in (2, 1)
]  # fmt: skip
FULL = replace(
    EMPTY,
    summary=SUMMARY,
    verdict=NightVerdict("refused", "Not published.", ["ranking, als: worse", EVIL], GATES, GATES),
    notes=["lists are short"],
    history=NightHistory(10, NIGHTS),
    trade=TradeOff("NDCG@10", "diversity@10", [TradePoint("als", 0.25, 0.5)]),
    segments=[SegmentFigures("users", "few (1-3)", {"NDCG@10": 0.125})],
    losses=[
        LossCurve("als", {"train": [(1, 1.0), (2, 0.5)], "validation": [(1, 1.2), (2, 1.1)]}, 3.0)
    ],
    distributions=[Distribution("Ratings given", [Bar("1", 3), Bar("5", 9)])],
    heatmaps=[Heatmap("Users", ["u1", EVIL], [[None, 0.5], [0.5, None]])],
    completed=CompletedMatrix(
        *(["u1", "u2"], ["i1", "i2"], [EVIL, "Heat"]),
        np.array([[5.0, np.nan], [1.0, np.nan]]),
        np.array([[3.9, 3.62], [1.5, 2.5]]),
    ),
    list_model="als",
    lists=[
        UserList(
            {"id": "u1", "n_ratings": 1, "mean": 3.5},
            ListSource("als", "serving", 10, "publish.n"),
            [
                {
                    "item_id": 1,
                    "title": "Heat",
                    "genres": ["Crime", "Drama"],
                    "score": 4.25,
                    "tier": "popularity",
                    "reason": [],
                },
                {
                    "item_id": 77,
                    "title": None,
                    "genres": None,
                    "score": 4.0,
                    "tier": "als",
                    "reason": [EVIL, "Ronin"],
                },
            ],
            [{"item_id": 2, "title": EVIL, "genres": ["Drama"], "rating": 5.0}],
        )
    ],
    scores="Scores are ratings.",
    search=SearchableLists(
        ["", EVIL, "Drama", "popularity", "Heat"],
        [(1, 2), (4, 0)],
        {"u1": (1, [(0, 5.0)], [(1, 4.25, 3, [1])]), "u11": (2, [], []), EVIL: (3, [], [])},
    ),
    rejected=[Rejected("missing_user", 3, [("r.csv", 7, EVIL)]), Rejected("malformed_line", 1, [])],
    config='{"seed": 42}',
)
