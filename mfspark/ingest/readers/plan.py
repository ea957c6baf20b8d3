"""The plan of a read: for each file how it is read, and the ranges that tasks read in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import TYPE_CHECKING

import pyarrow as pa

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import FileColumns, file_columns, without_ratings
from mfspark.ingest.readers.delimiters import written
from mfspark.ingest.readers.detect import Recognised, holds_nothing, recognise, sample_text
from mfspark.ingest.readers.encodings import MIXED, chosen_encoding, is_foreign
from mfspark.ingest.readers.files import size_of
from mfspark.ingest.readers.lines import Facts, examine
from mfspark.ingest.readers.melt import cleaned
from mfspark.ingest.readers.parquet import folder_columns
from mfspark.ingest.readers.quotes import shapes_of
from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.shapes.personal import check_people
from mfspark.ingest.readers.source import Source, Split
from mfspark.ingest.readers.text import TextFile, read_records
from mfspark.ingest.readers.times import times_in_words
from mfspark.ingest.readers.validate import Rules, rules_of
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.shapes.wide import WideColumns


@dataclass(frozen=True)
class TextSource:
    """A text file and its layout."""

    file: TextFile
    layout: FileColumns
    rules: Rules

    @property
    def reading(self) -> LongColumns | WideColumns:
        """Which column plays which part."""
        return self.layout.columns

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of a range of lines."""
        layout, place = self.layout, (split.start, split.end, split.first_line)
        for records in read_records(self.file, *place, layout.columns.used, split.lines):
            yield from cleaned(records, layout.columns, self.rules)


Examine = tuple[str, int, int, str, str]
"""Arguments of `lines.examine`: path, start, end, packing, delimiter."""


@dataclass(frozen=True)
class ReadPlan:
    """Sources by file, the splits of all of them, and in words how each file was understood."""

    sources: tuple[Source, ...]
    splits: tuple[Split, ...]
    read_as: tuple[str, ...]
    exports: tuple[str, ...] = ()
    """Files of services that name the items beside the ratings."""


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
    filled = [not holds_nothing(path) for path in files]
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
    readings = [(files[n], sources[n].reading) for n in range(len(files)) if filled[n]]
    _check_alike(readings, options)
    personal = {path: r for path, r in readings if isinstance(r, LongColumns) and r.user < 0}
    check_people(list(personal))
    facts = iter(examine_all([found for _, ranges in texts for found in ranges]))
    for number, ranges in texts:
        here = list(islice(facts, len(ranges)))
        source = sources[number]
        assert isinstance(source, TextSource)
        file = examined(source.file, here, options)
        sources[number] = replace(source, file=file)
        read_as[number] += in_words(file, here)
        splits += _text_splits(number, ranges, here, file.multiline)
    named = () if options.columns.item else (path for path, r in personal.items() if r.service)
    return ReadPlan(tuple(sources), tuple(splits), tuple(read_as), tuple(named))


def holds_choices(path: str, options: IngestOptions) -> bool:
    """Look at a file and say whether its rows are choices without ratings. Raises InputError."""
    if holds_nothing(path):
        return False
    found = recognise(path, options)
    read = found.format.source(path, options) if found.format else _text(path, found, options)
    return without_ratings(read[0].reading)


def _check_alike(
    read: Sequence[tuple[str, LongColumns | WideColumns]], options: IngestOptions
) -> None:
    """Raise InputError where choices without ratings stand among ratings."""
    choices = [path for path, reading in read if without_ratings(reading)]
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
    body = [record for record in sample[layout.skip :] if len(record) == layout.n_columns]
    columns = list(zip(*body, strict=True))
    file = TextFile(path, delimiter, layout.n_columns, layout.skip, found.packing)
    file = replace(file, shapes=shapes_of(columns))
    kind = f"text split by '{delimiter}'".replace("\t", "tab")
    rules = rules_of(options, written(delimiter), layout.columns, columns)
    folders = ", ".join(folder_columns(path))
    ignored = f", ignored: what its folders say ({folders})" if folders else ""
    described = f"{kind}, {layout.description}{times_in_words(rules.times)}{ignored}"
    return TextSource(file, layout, rules), described


def _nothing(path: str) -> TextSource:
    return TextSource(
        TextFile(path, ",", 3), FileColumns(LongColumns(0, 1, 2), 0, 3, "empty"), Rules()
    )


def _ranges(file: TextFile, split_bytes: int) -> list[Examine]:
    size = size_of(file.path)
    if file.packing:
        return [(file.path, 0, size, file.packing, file.delimiter)]
    ends = ((start, min(start + split_bytes, size)) for start in range(0, size, split_bytes))
    return [(file.path, *ends_here, "", file.delimiter) for ends_here in ends]


def examined(file: TextFile, facts: Sequence[Facts], options: IngestOptions) -> TextFile:
    """Fill in what only a pass over the whole file can tell: its encoding and its quotes."""
    all_facts = sum(facts, Facts())
    if options.encoding == "utf-8" and all_facts.other_bytes:
        raise InputError(
            f"{file.path} is not valid UTF-8", 'set ingest.encoding = "auto" or "windows-1252"'
        )
    encoding = chosen_encoding(options, all_facts)
    if options.encoding == "auto" and is_foreign(all_facts):
        raise InputError(
            f"{file.path} is not UTF-8, and its bytes are hardly Windows-1252",
            "name its encoding, such as --set ingest.encoding=windows-1251, windows-1250, "
            "shift_jis or gb18030; to read it as it is, windows-1252",
        )
    odd, still_open = (all_facts.odd_quotes, all_facts.open_quotes) if file.quoted else (False,) * 2
    file = replace(file, encoding=encoding, odd_quotes=odd, multiline=still_open)
    return replace(file, lone_returns=all_facts.lone_returns)


def in_words(file: TextFile, facts: Sequence[Facts]) -> str:
    """Say what was found beyond the layout: packing, encoding."""
    packed = f", {file.packing}" if file.packing else ""
    if file.encoding == MIXED:
        n = sum(fact.other_bytes for fact in facts)
        return f"{packed}, UTF-8 but for {count(n, 'byte')}, there Windows-1252"
    shown = file.encoding.replace("windows", "Windows")
    return packed + (f", {shown}" if file.encoding != "utf-8" else "")


def _text_splits(
    number: int, ranges: Sequence[Examine], facts: Sequence[Facts], multiline: bool
) -> list[Split]:
    if multiline:
        return [Split(number, 0, ranges[-1][2], lines=sum(fact.lines for fact in facts))]
    before = accumulate((fact.lines for fact in facts), initial=1)
    return [
        Split(number, start, end, line, fact.lines)
        for (_, start, end, *_), fact, line in zip(ranges, facts, before, strict=False)
        if fact.lines
    ]
