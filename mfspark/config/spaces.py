"""What `mfspark tune` tries for an option: a range, or some values.

A model's own space stands beside its options (`config.models`); `[tune.spaces.ials]` replaces it:

    rank = { low = 16, high = 256, log = true }     a whole number, evenly by its logarithm
    alpha = { low = 1, high = 20 }                  any number between
    by_rating = [true, false]                       one of these
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, ValidationError, model_validator

from mfspark.config.section import Section

_UNLIKELY = 0.381966  # a share of a range at which no whole number lies


def near(name: str, known: Iterable[str]) -> str:
    """Say which of some names is meant by one that is none of them, or list them."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{found[0]}'?" if found else f"known: {', '.join(names)}"


class Range(Section):
    """Numbers from `low` to `high`, ends included; evenly, or evenly by their logarithm."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ends_are_ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} must be below high = {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true goes with low above 0, not {self.low}")
        return self


def _read(value: Any) -> Any:
    """Read what a configuration says of one option. Raises ValueError in words of its own."""
    if isinstance(value, (Range, tuple)):
        return value
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        raise ValueError("give a range, { low = 1, high = 10 }, or a list of values")
    if unknown := [key for key in value if key not in Range.model_fields]:
        raise ValueError(f"unknown key '{unknown[0]}'; {near(unknown[0], Range.model_fields)}")
    try:
        return Range.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = f"{first['loc'][0]}: " if first["loc"] else ""
        raise ValueError(key + first["msg"].removeprefix("Value error, ")) from None


Choice: TypeAlias = bool | int | float | str
Dimension: TypeAlias = Annotated[Range | tuple[Choice, ...], BeforeValidator(_read)]
"""What is tried for one option."""
Space: TypeAlias = Mapping[str, Dimension]
"""What is tried for the options of one model, by their names."""


def problems_of(space: Space, options: Section, where: str) -> Iterator[str]:
    """Yield what is wrong with a space: names that options have not, and values they refuse.

    where: the section of the configuration that holds the space. Values that are refused only in
    combination with others are no problem here.
    """
    for key, dimension in space.items():
        name = f"{where}.{key}"
        if key not in type(options).model_fields:
            former = options.former_names.get(key)
            hint = (
                f"it is called '{former}' now" if former else near(key, type(options).model_fields)
            )
            yield f"unknown key '{name}'; {hint}"
        elif isinstance(dimension, Range):
            for end in (dimension.low, dimension.high):
                yield from _refused(options, key, end, name)
        elif len(dimension) < 2:
            yield f"{name} has {len(dimension)} value(s): at least two are needed to choose from"
        else:
            for value in dimension:
                yield from _refused(options, key, value, name)


def is_whole(options: Section, key: str, dimension: Range) -> bool:
    """Return whether an option takes whole numbers only."""
    between = dimension.low + _UNLIKELY * (dimension.high - dimension.low)
    return any(_refused(options, key, between, key))


def _refused(options: Section, key: str, value: Any, name: str) -> Iterator[str]:
    """Yield why an option refuses a value by itself."""
    try:
        type(options).model_validate(options.model_dump() | {key: value})
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if problem["loc"] and problem["loc"][0] == key:
                yield f"{name} tries {value!r}: {problem['msg'].removeprefix('Value error, ')}"
                return
