"""Packages of the extra `bench`: what benchmarks measure with, and what they measure against."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def installed(module: str) -> Any:
    """Import a module. Ends the program with status 2 where it is not installed, and says so."""
    try:
        return import_module(module)
    except ImportError as error:
        print(
            f"{error}: install what benchmarks need: pip install 'mfspark[bench]'\n"
            "  myfm and cmfrec are not among it: see benchmarks/README.md",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
