"""Questions to a published run are answered without Spark, however indirectly."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from mfspark import queries


def test_no_question_imports_spark() -> None:
    names = [m.name for m in pkgutil.walk_packages(queries.__path__, "mfspark.queries.")]
    assert len(names) >= 8
    code = f"import sys, {', '.join(names)}; print('pyspark' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
