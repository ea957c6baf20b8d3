"""What the cells of a column in a sample show: numbers, their range, and how often they repeat."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
_PRODUCT = re.compile(r"B0[0-9A-Z]{8}|[0-9]{9}[0-9X]|97[89][0-9]{10}")
_CODE = re.compile(r"[^\s@]*[0-9][^\s@]*")
_SCALE_LIMIT = 100  # ratings reach from -100 to 100, or have few values
_FEW_VALUES = 12


def is_number(cell: str) -> bool:
    """Return whether a cell holds a decimal number, with point or comma."""
    return _NUMBER.fullmatch(cell) is not None


@dataclass(frozen=True)
class Cells:
    """The cells of one column of a sample, as text without surrounding blanks."""

    texts: Sequence[str]

    @cached_property
    def filled(self) -> list[str]:
        """The cells that are not blank."""
        return [text for text in self.texts if text]

    @cached_property
    def numbers(self) -> np.ndarray:
        """float64 (n,): the cells as numbers, NaN where they are none."""
        texts = [t.replace(",", ".") if is_number(t) else "nan" for t in self.texts]
        return np.array(texts, dtype=np.float64)

    @cached_property
    def values(self) -> np.ndarray:
        """float64: the numbers among the cells, in order."""
        return self.numbers[np.isfinite(self.numbers)]

    @cached_property
    def mostly_numbers(self) -> bool:
        """Whether at least half are; formulas and errors such as #N/A stand for numbers."""
        return 2 * sum(is_number(c) or c[0] in "=#" for c in self.filled) >= len(self.filled)

    @cached_property
    def are_codes(self) -> bool:
        """Whether they are words with digits, such as id36 or 7f3a; no names, no addresses."""
        return all(_CODE.fullmatch(text) for text in self.filled)

    @cached_property
    def are_whole_numbers(self) -> bool:
        """Whether they are whole numbers from 0 on, as ids are."""
        whole = bool((self.values >= 0).all()) and not self.has_fractions
        return whole and 0 < len(self.values) == len(self.filled)

    @cached_property
    def n_distinct(self) -> int:
        """Number of different cells."""
        return len(set(self.filled))

    def without(self, rows: Collection[int]) -> Cells:
        """Return the cells of all rows but some."""
        if not rows:
            return self
        return Cells([text for row, text in enumerate(self.texts) if row not in rows])

    @property
    def share_filled(self) -> float:
        """Share of the cells that are not blank."""
        return len(self.filled) / max(1, len(self.texts))

    @property
    def has_fractions(self) -> bool:
        """Whether there are numbers that are not whole, as measurements have and ids do not."""
        return bool((self.values % 1 != 0).any())

    @property
    def on_a_scale(self) -> bool:
        """Whether the numbers may be ratings: of few values, or within -100 to 100."""
        return self.n_distinct <= _FEW_VALUES or bool((np.abs(self.values) <= _SCALE_LIMIT).all())

    @property
    def are_products(self) -> bool:
        """Whether they are ASINs or ISBNs, as no user ids are."""
        return bool(self.filled) and all(_PRODUCT.fullmatch(text) for text in self.filled)

    @property
    def ascends(self) -> bool:
        """Whether the numbers never fall but rise, as the ids do by which a file is sorted."""
        steps = np.diff(self.values)
        return len(steps) > 3 and bool((steps >= 0).all() and (steps > 0).any())


@dataclass(frozen=True)
class Sample:
    """The first records of a table below its header, by column."""

    path: str
    names: Sequence[str]
    """Empty where there is no header."""
    columns: Sequence[Cells]
    lines: Sequence[int]
    """The line of each record in its file, from 1 (in Parquet: the row)."""

    @property
    def shown(self) -> str:
        """The columns in words, for messages."""
        return ", ".join(self.names) if self.names else f"{len(self.columns)} columns without names"
