"""The scripts of docs/examples: runnable cells, and plots that the page shows. `make examples`
runs them; here a name or an option that is gone is found without it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mfspark.config.loading import load_config

DOCS = Path(__file__).parent.parent / "docs"
SCRIPTS = sorted((DOCS / "examples").glob("[0-9]*.py"))
PLOTS = sorted(path.name for path in (DOCS / "examples" / "plots").glob("*.png"))


def test_there_is_one_for_each_notebook() -> None:
    assert [path.name[0] for path in SCRIPTS] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_cells_and_save_the_plots_that_are_shown(script: Path) -> None:
    text, page = script.read_text(), (DOCS / "notebooks.md").read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    saved = re.findall(r'save\(figure, "(\w+)"\)', text)
    assert saved
    for name in saved:
        assert f"{name}.png" in PLOTS
        assert f"examples/plots/{name}.png" in page
    assert f"examples/{script.name}" in page


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_options_in_scripts_are_known(script: Path) -> None:
    texts = [
        n.value for n in ast.walk(ast.parse(script.read_text())) if isinstance(n, ast.Constant)
    ]
    options = [t for t in texts if isinstance(t, str) and re.match(r"[a-z_]+(\.[a-z_]+)+=\S", t)]
    assert options
    for option in options:
        load_config(overrides=(option,))


def test_every_plot_is_shown() -> None:
    page = (DOCS / "notebooks.md").read_text()
    assert [name for name in PLOTS if name not in page] == []
