"""What every section of the configuration is made of."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    former_names: ClassVar[Mapping[str, str]] = {}
    """What keys were called in older versions: refused in a configuration, read in a run."""

    @classmethod
    def of_run(cls, options: Mapping[str, Any]) -> Self:
        """Return what a published run says of a section, but for keys that have gone since."""
        named = {cls.former_names.get(key, key): value for key, value in options.items()}
        return cls.model_validate({k: v for k, v in named.items() if k in cls.model_fields})
