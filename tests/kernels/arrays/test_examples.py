"""The examples in the docstrings of the array kernels."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from mfspark.kernels import arrays

MODULES = {module.name for module in pkgutil.iter_modules(arrays.__path__)} - {"threads"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_examples_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"{arrays.__name__}.{name}"))
    assert result.failed == 0
    assert result.attempted > 0, "each module shows what its functions do"
