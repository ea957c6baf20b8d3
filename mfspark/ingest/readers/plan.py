"""The plan of a read: for each file how it is read, and the ranges that tasks read in parallel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import (
    FileColumns,
    LongColumns,
    file_columns,
    without_ratings,
)
from mfspark.ingest.readers.detect import recognise, sample_text
from mfspark.ingest.readers.files import size_of
from mfspark.ingest.readers.lines import Facts, examine
from mfspark.ingest.readers.melt import cleaned
from mfspark.ingest.readers.source import Split
from mfspark.ingest.readers.text import TextFile, read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.detect import Recognised
    from mfspark.ingest.readers.source import Source

Scale = tuple[float, float] | None


@dataclass(frozen=True)
class TextSource:
    """A text file and its layout."""

    file: TextFile
    layout: FileColumns
    scale: Scale

    @property
    def holds_choices(self) -> bool:
        """Whether its rows are choices without ratings."""
        return without_ratings(self.layout.columns)

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of a range of lines."""
        layout = self.layout
        for records in read_records(
            self.file, split.start, split.end, split.first_line, layout.used
        ):
            yield from cleaned(records, layout.columns, self.scale, self.file.delimiter)


Examine = tuple[str, int, int, bool]
"""Arguments of `lines.examine`: path, start, end, gzipped."""


@dataclass(frozen=True)
class ReadPlan:
    """Sources by file, the splits of all of them, and in words how each file was understood."""

    sources: tuple[Source, ...]
    splits: tuple[Split, ...]
    read_as: tuple[str, ...]


def plan_read(
    files: Sequence[str],
    options: IngestOptions,
    split_bytes: int,
    examine_all: Callable[[Sequence[Examine]], list[Facts]],
) -> ReadPlan:
    """Look at each file and cut it into splits.

    `examine_all` runs `lines.examine` over many ranges; the caller decides where. Empty files are
    passed over if others hold something (jobs write empty part files). Raises InputError.
    """
    sources: list[Source] = []
    splits: list[Split] = []
    texts: list[tuple[int, list[Examine]]] = []
    read_as: list[str] = []
    filled = [size_of(path) > 0 for path in files]
    for number, path in enumerate(files):
        if not filled[number] and any(filled):
            source, description = _nothing(path), "empty"
        elif (found := recognise(path, options)).format:
            source, description = found.format.source(path, options)
            splits += [Split(number, *part) for part in found.format.ranges(path, split_bytes)]
        else:
            source, description = _text(path, found, options)
            texts.append((number, _ranges(source.file, split_bytes)))
        sources.append(source)
        read_as.append(description)
    _check_alike([p for p in zip(files, sources, filled, strict=True) if p[2]], options)
    facts = iter(examine_all([found for _, ranges in texts for found in ranges]))
    for number, ranges in texts:
        here = list(islice(facts, len(ranges)))
        source = sources[number]
        assert isinstance(source, TextSource)
        file = examined(source.file, here, options)
        sources[number] = replace(source, file=file)
        splits += _text_splits(number, ranges, here, file.multiline)
    return ReadPlan(tuple(sources), tuple(splits), tuple(read_as))


def holds_choices(path: str, options: IngestOptions) -> bool:
    """Look at a file and say whether its rows are choices without ratings. Raises InputError."""
    if not size_of(path):
        return False
    found = recognise(path, options)
    read = found.format.source(path, options) if found.format else _text(path, found, options)
    return getattr(read[0], "holds_choices", False)


def _check_alike(read: Sequence[tuple[str, Source, bool]], options: IngestOptions) -> None:
    """Raise InputError where choices without ratings stand among ratings."""
    choices = [path for path, source, _ in read if getattr(source, "holds_choices", False)]
    if choices and options.feedback != "implicit" and len(choices) < len(read):
        raise InputError(
            f"{choices[0]} holds choices without ratings, other files hold ratings",
            "name its rating with --set ingest.columns.rating=NAME, or take all rows as choices "
            "with --set ingest.feedback=implicit",
        )


def examine_here(ranges: Sequence[Examine]) -> list[Facts]:
    """Examine ranges one after the other in this process."""
    return [examine(*found) for found in ranges]


def _text(path: str, found: Recognised, options: IngestOptions) -> tuple[TextSource, str]:
    delimiter, sample = sample_text(found, options, path)
    layout = file_columns(sample, options, path)
    file = TextFile(path, delimiter, layout.n_columns, layout.skip, found.gzipped)
    kind = f"text split by '{delimiter}'".replace("\t", "tab")
    return TextSource(file, layout, options.rating_scale), f"{kind}, {layout.description}"


def _nothing(path: str) -> TextSource:
    return TextSource(
        TextFile(path, ",", 3), FileColumns(LongColumns(0, 1, 2), 0, 3, "empty"), None
    )


def _ranges(file: TextFile, split_bytes: int) -> list[Examine]:
    size = size_of(file.path)
    if file.gzipped:
        return [(file.path, 0, size, True)]
    starts = range(0, size, split_bytes)
    return [(file.path, start, min(start + split_bytes, size), False) for start in starts]


def examined(file: TextFile, facts: Sequence[Facts], options: IngestOptions) -> TextFile:
    """Fill in what only a pass over the whole file can tell: its encoding and its quotes."""
    utf8 = all(fact.utf8 for fact in facts)
    if options.encoding == "utf-8" and not utf8:
        raise InputError(
            f"{file.path} is not valid UTF-8", 'set ingest.encoding = "auto" or "iso-8859-1"'
        )
    encoding = "utf-8" if utf8 and options.encoding != "iso-8859-1" else "iso-8859-1"
    multiline = file.quoted and any(fact.odd_quotes for fact in facts)
    return replace(file, encoding=encoding, multiline=multiline)


def _text_splits(
    number: int, ranges: Sequence[Examine], facts: Sequence[Facts], multiline: bool
) -> list[Split]:
    if multiline:
        return [Split(number, 0, ranges[-1][2])]
    before = accumulate((fact.lines for fact in facts), initial=1)
    return [
        Split(number, start, end, line)
        for (_, start, end, _), fact, line in zip(ranges, facts, before, strict=False)
        if fact.lines
    ]
