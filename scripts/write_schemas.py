"""Write docs/schemas: the JSON schema of what each command answers with --json."""

from pathlib import Path

from mfspark.cli.answers import schemas

folder = Path(__file__).parents[1] / "docs" / "schemas"
folder.mkdir(exist_ok=True)
for command, text in schemas().items():
    (folder / f"{command}.json").write_text(text, encoding="utf-8")
