"""Ratings and items come in: readers, cleaning and quarantine, stable ids, statistics.

`intake.ingest` is the whole stage; `docs/ingest.md` describes formats and rules.
"""
