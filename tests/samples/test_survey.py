"""The embedded survey, and what is said of a folder that samples cannot be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfspark.errors import ConfigError
from mfspark.samples.survey import copy_survey, survey_files
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic


def test_the_survey_is_copied(tmp_path: Path) -> None:
    copied = copy_survey(tmp_path / "here")
    assert [path.name for path in copied] == ["survey.xlsx", "survey_long.csv"]
    assert copied[0].read_bytes() == survey_files().read_bytes()
    copied[0].write_bytes(b"mine")
    copy_survey(tmp_path / "here")
    assert copied[0].read_bytes() == survey_files().read_bytes()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", Path("/proc/mfspark")):
        for write in (copy_survey, lambda out: write_synthetic(SyntheticSpec(3, 5, 5), out)):
            with pytest.raises(ConfigError, match=rf"cannot write samples to {out}") as told:
                write(out)
            assert "--out DIR" in told.value.hint
