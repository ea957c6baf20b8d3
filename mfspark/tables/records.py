"""What stages record when they finish: JSON in scratch, later in the manifest, typed in between.

A key names a stage and the type of what it records, so that whoever writes a record and whoever
reads it, that night or from a published run, cannot disagree:

    CUT = RecordKey("cut-train", Cut)
    night.finish(CUT, Cut(tiles))
    run.record(CUT)
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from mfspark.errors import MfsparkError

T = TypeVar("T")


@dataclass(frozen=True)
class RecordKey(Generic[T]):
    """The name of a stage with the dataclass of its record."""

    stage: str
    kind: type[T]

    def parse(self, content: dict[str, Any], run_id: str) -> T:
        """Read a record from JSON types. Raises MfsparkError where it is not of this kind."""
        try:
            return _adapter(self.kind).validate_python(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise MfsparkError(
                f"the record of stage '{self.stage}' of run {run_id} is not what this version of "
                f"mfspark reads: {where}: {first['msg']}",
                "read it with the version that wrote it, or run the night again",
            ) from None

    def dump(self, record: T) -> dict[str, Any]:
        """Return a record as plain Python values."""
        return _adapter(self.kind).dump_python(record)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
