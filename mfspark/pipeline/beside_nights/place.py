"""Work on the ratings of a night that begins none: nothing waits or is published afterwards."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from mfspark.pipeline.feedback import with_feedback
from mfspark.pipeline.ingest import InputFiles
from mfspark.pipeline.request import Request
from mfspark.pipeline.standard_input import spooled
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night, base_of, name_run
from mfspark.tables.warehouse import Warehouse


@contextmanager
def night_beside(request: Request, purpose: str) -> Generator[tuple[Night, InputFiles]]:
    """Yield what looks like a night and is none, and its files; its scratch is removed at the end.

    After a kill it stays, for the next of the same request to go on with, or until `mfspark gc`.
    Nights of other processes wait meanwhile; stages do not. Raises what a night does.
    """
    config = request.load()
    request.check(config)
    warehouse = Warehouse(config.warehouse)
    with spooled(config, warehouse.storage) as read, hold_lock(warehouse, purpose):
        files = InputFiles.of(read)
        config = with_feedback(config, files.ratings)
        files.check(config.ingest)
        inputs, current = files.fingerprints(), warehouse.current()
        run_id = f"{purpose}-{name_run(config, request.date(), inputs)}"
        base = base_of(warehouse, current, request.date())
        night = Night(warehouse, config, request.date(), run_id, inputs, current, base)
        yield night, files
        night.storage.discard(night.scratch())
        if not night.storage.moves:
            night.storage.discard(night.tables_key)
