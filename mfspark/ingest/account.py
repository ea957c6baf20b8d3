"""What a night's intake amounts to, in lines: one account for whoever tells of it."""

from collections.abc import Iterator

from mfspark.ingest.report import IngestReport
from mfspark.system.words import count


def account_of(report: IngestReport) -> list[str]:
    """Return what was read, accepted and rejected, and how each file was understood."""
    rejected = f"{report.n_rejected:,}" if report.n_rejected else "none"
    lines = [
        f"{count(report.n_rows, 'row')} read, {report.n_accepted:,} accepted, {rejected} rejected"
        + (", see table rejected_ratings:" if report.n_rejected else "")
    ]
    lines += [f"  {reason}  {n:,}" for reason, n in report.rejected_by_reason.items()]
    return lines + [f"{file}: {how}" for file, how in report.read_as.items()]


def notes_on(report: IngestReport) -> Iterator[str]:
    """Say what in the input a reader might not expect."""
    yield from report.notes
    if later := report.n_later:
        yield f"left for later nights: {count(later, 'rating')} made after the run date"
    if carried := report.n_carried:
        of_base = f"{count(carried, 'rating')} of the base run"
        yield f"added to {of_base}, {report.n_replaced:,} of them renewed"
    if again := report.n_counted:
        yield f"counted: {count(again, 'choice')} of an item by a user who had chosen it before"
    if merged := report.n_merged:
        yield f"averaged: {count(merged, 'rating')} of items that share a title with another"
    users, items = report.described_users, report.described_items
    if unrated := users.n_unrated:
        yield f"{count(unrated, 'user')} of the user files rated nothing and are in no table"
    if unrated := items.n_unrated:
        yield f"nobody rated {count(unrated, 'item')} of the catalogue"
    for side, described in (("user", users), ("item", items)):
        if twice := described.n_duplicates:
            yield f"passed over: {count(twice, 'row')} of {side} files that list a {side} again"
        if skipped := described.n_skipped:
            yield f"passed over: {count(skipped, 'row')} of {side} files that cannot be read"
