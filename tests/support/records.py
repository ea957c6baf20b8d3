"""Records of stages as plain JSON, whatever their stage."""

from typing import Any

from mfspark.tables.records import RecordKey


def raw(stage: str) -> RecordKey[dict[str, Any]]:
    return RecordKey(stage, dict)
