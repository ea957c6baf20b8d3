"""What readers get: sections `publish` and `serving` of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, field_validator

from mfspark.config.allowed_roots import check_value
from mfspark.config.models import ModelName
from mfspark.config.section import Section, Share


class PublishOptions(Section):
    """What readers get."""

    n: PositiveInt = 10
    """Rows a user and model in `top_n`."""
    allow_items: tuple[str, ...] = ()
    """Item ids that lists may hold, none other; empty: all. "@FILE" stands for a file's lines."""
    deny_items: tuple[str, ...] = ()
    """Item ids that no list holds, also those that are allowed; "@FILE" as above."""
    variety: Share = 0.0
    """How much the served list counts being unlike what stands above an item, against its score."""
    variety_by: Literal["auto", "factors", "genres"] = "auto"
    """What items are alike by: factors of the served model, or genres; `auto`: genres where it has
    no factors."""
    max_per_genre: Annotated[int, Field(ge=0)] = 0
    """Items of one genre that a served list holds, while there are others; 0: any number."""
    variety_from: PositiveInt = 100
    """Items of each user that varied lists are chosen from, the best of the served model."""
    similar_items: Annotated[int, Field(ge=0)] = 20
    """Rows an item and model in `similar_items`; 0: none."""
    heatmap_users: Annotated[int, Field(ge=0, le=1000)] = 50
    """Users with most ratings whose similarities, all with all, are in `user_heatmap`; 0: none."""
    clamp: bool = True
    """Keep predicted ratings inside the rating scale."""
    round_to: NonNegativeFloat | Literal["step"] = 0.0
    """Round predicted ratings to this step; `step`: the one all ratings are on, such as whole or
    half stars; 0 means not at all."""
    single_file: bool = False
    """Also replace `exports/serving.parquet`."""

    @property
    def reranks(self) -> bool:
        """Whether the served list is another than the beginning of the model's own."""
        return self.variety > 0 or self.max_per_genre > 0

    @field_validator("allow_items", "deny_items", mode="before")
    @classmethod
    def _read_files(cls, value: Any) -> Any:
        return _with_lines(value) if isinstance(value, (list, tuple)) else value


class ServingOptions(Section):
    """The one list that people get."""

    n: PositiveInt | None = None
    """Rows a user in `serving`; unset: publish.n."""
    model: Literal["auto", ModelName] = "auto"
    """Whose lists are served; `auto`: those of the champion (docs/publishing.md)."""
    metric: Literal["ndcg", "recall", "recall_capped", "precision", "hit_rate", "mrr", "map"] = (
        "ndcg"
    )
    """What the champion is the best by, at evaluation.k."""


def _with_lines(ids: Iterable[Any]) -> tuple[Any, ...]:
    """Replace each "@FILE" by the lines of the file, and whole numbers by their text.

    The ids themselves become part of the configuration, so that a changed file is another run.
    """
    found: list[Any] = []
    for given in ids:
        if isinstance(given, str) and given.startswith("@"):
            check_value(given[1:], "the file")
            try:
                lines = Path(given[1:]).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"cannot read the item ids in {given[1:]}: {error}") from None
            found += [line.strip() for line in lines if line.strip()]
        else:
            found.append(str(given) if type(given) is int else given)
    return tuple(found)
