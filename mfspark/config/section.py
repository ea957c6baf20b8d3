"""What every section of the configuration is made of."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def of_run(cls, options: Mapping[str, Any]) -> Self:
        """Return what a published run says of a section, but for keys that have gone since."""
        return cls.model_validate({k: v for k, v in options.items() if k in cls.model_fields})
