"""The examples in the docstrings of the kernels of arrays and of lists."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from mfspark.kernels import arrays, lists

MODULES = {
    f"{package.__name__}.{module.name}"
    for package in (arrays, lists)
    for module in pkgutil.iter_modules(package.__path__)
} - {"mfspark.kernels.arrays.threads"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_examples_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0, "each module shows what its functions do"
