"""The embedded survey: 45 people on 10 films."""

import shutil
from importlib import resources
from pathlib import Path

from mfspark.samples.folder import writable_folder


def survey_files() -> Path:
    """Return the path of the embedded survey: an Excel sheet, a row a user, a column an item."""
    return Path(str(resources.files("mfspark.samples") / "data" / "survey.xlsx"))


def copy_survey(out: Path) -> list[Path]:
    """Copy the embedded survey (wide Excel, long CSV) to a folder and return the files.

    Raises ConfigError when the folder cannot be written.
    """
    with writable_folder(out):
        sources = [survey_files(), survey_files().with_name("survey_long.csv")]
        return [Path(shutil.copyfile(source, out / source.name)) for source in sources]
