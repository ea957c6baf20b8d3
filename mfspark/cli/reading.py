"""Commands that read what was published: path, show, neighbors, predict, fold-in. No Spark."""

import math
from typing import Annotated

import typer
from rich.text import Text

from mfspark.cli.command import READING, command
from mfspark.cli.options import opened_run
from mfspark.cli.terminal import cell, console, name_of, table
from mfspark.errors import ConfigError
from mfspark.queries.lookup import Neighborhood, UserList
from mfspark.queries.predict import Pair
from mfspark.queries.summary import count
from mfspark.tables.run import PublishedRun

app = typer.Typer()

User = Annotated[str, typer.Argument(metavar="USER", help="A user id.", show_default=False)]


@command(app, panel=READING, given=opened_run)
def show(
    run: PublishedRun,
    user: User,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows to show.")] = 10,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Whose list. Default: the best NDCG."),
    ] = None,
) -> None:
    """Show a user's list, and what they rated best themselves."""
    from mfspark.models.records import LISTABLE_ITEMS
    from mfspark.queries.lookup import list_of

    found = list_of(run, user, model, n)
    published = run.manifest.config["publish"]["n"]
    limited = run.record(LISTABLE_ITEMS) is not None
    _print_list(found, others=run.models, wanted=n, published=published, limited=limited)


@command(app, panel=READING, given=opened_run)
def neighbors(
    run: PublishedRun,
    user: User,
    n: Annotated[int, typer.Option("-n", min=1, max=20, help="Neighbors to show.")] = 5,
    n_items: Annotated[int, typer.Option("--items", min=1, help="Items to show.")] = 15,
) -> None:
    """Show who is like a user, with everybody's ratings side by side."""
    from mfspark.queries.lookup import neighborhood

    _print_neighborhood(neighborhood(run, user, n, n_items))


@command(app, panel=READING, given=opened_run)
def predict(
    run: PublishedRun,
    user: User,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An item id or exact title.", show_default=False)
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="One model. Default: all of them.")
    ] = None,
) -> None:
    """Predict one rating by every model, beside the known rating.

    Users and items that nobody knows are answered too, from what is known of the other one.
    """
    from mfspark.queries.predict import predict_pair

    _print_pair(predict_pair(run, user, item, model))


@command(app, panel=READING, given=opened_run)
def fold_in(
    run: PublishedRun,
    rates: Annotated[
        list[str],
        typer.Argument(metavar="ITEM=RATING...", help="What the user rated.", show_default=False),
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="Rows to show.")] = 10,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="ials or als. Default: ials where it ran.")
    ] = None,
) -> None:
    """Recommend for somebody new, by what they rated; nothing is stored."""
    from mfspark.queries.fold_in import fold_in as fold

    found = fold(run, dict(_as_rating(text) for text in rates), model, n)
    out = console()
    rows = [
        (rank, name_of(item, title), f"{score:.3f}")
        for rank, (item, title, score) in enumerate(found.items, 1)
    ]
    title = f"For {count(len(rates), 'rating')}, by {found.model} of run {run.run_id}"
    columns, numbers = ("rank", "item", "score"), ("rank", "score")
    out.print(table(columns, rows, title=title, numbers=numbers))
    if found.unknown:
        out.print(f"unknown items, left out: {', '.join(found.unknown)}")


def _as_rating(text: str) -> tuple[str, float]:
    item, equals, value = text.rpartition("=")
    try:
        rating = float(value)
    except ValueError:
        rating = math.nan
    if not equals or not item or not math.isfinite(rating):
        raise ConfigError(f"'{text}' is not ITEM=RATING", "write it as 318=4.5")
    return item, rating


@command(app, panel=READING, given=opened_run)
def path(
    run: PublishedRun,
    name: Annotated[str, typer.Argument(metavar="TABLE", help="Such as top_n or ratings.")],
) -> None:
    """Print the directory of a published table, and nothing else.

    It never changes: read it for as long as you like.
    """
    print(run.table_dir(name))


def _print_list(
    found: UserList, *, others: tuple[str, ...], wanted: int, published: int, limited: bool
) -> None:
    out, user = console(), found.user
    explained = any(row["reason"] for row in found.rows)
    rows = [
        (
            *(
                row["rank"],
                name_of(row["item_id"], row["title"]),
                f"{row['score']:.2f}",
                row["tier"],
            ),
            *([", ".join(row["reason"])] if explained else []),
        )
        for row in found.rows
    ]
    title = f"For {user['id']}, by {found.model}"
    columns = ("rank", "item", "score", "tier", *(["because of"] if explained else []))
    out.print(table(columns, rows, title=title, numbers=("rank", "score")))
    if wanted > published:
        out.print(cell(f"{published} rows a user were published (publish.n)", "dim"))
    elif len(rows) < wanted:
        that = " that lists may hold" if limited else ""
        out.print(cell(f"there are no further unseen items{that}", "dim"))
    mean = "" if user["mean"] is None else f", {user['mean']:.2f} on average"
    rated = f"{count(user['n_ratings'], 'rating')}{mean}"
    own = [(name_of(r["item_id"], r["title"]), f"{r['rating']:g}") for r in found.favourites]
    best = table(("item", "rating"), own, title=f"Rated best ({rated})", numbers=("rating",))
    out.print(best)
    out.print(cell(f"models: {', '.join(others)}", "dim"), soft_wrap=True)


def _print_neighborhood(found: Neighborhood) -> None:
    out, user = console(), found.user
    if not found.neighbors:
        out.print(cell(f"{user['id']} has no neighbors: nobody shares enough items with them"))
    nearest = [
        (row["rank"], row["id"], f"{row['similarity']:.4f}", row["n_common"])
        for row in found.neighbors
    ]
    columns = ("rank", "neighbor", "similarity", "items in common")
    title = f"Nearest to {user['id']} ({count(user['n_ratings'], 'rating')})"
    numbers = ("rank", "similarity", "items in common")
    out.print(table(columns, nearest, title=title, numbers=numbers))
    ids = [user["id"], *(row["id"] for row in found.neighbors)]
    ratings = [
        (
            name_of(item["item_id"], item["title"]),
            *(_rating(item["ratings"].get(key)) for key in ids),
        )
        for item in found.items
    ]
    title = "Ratings of the items that most of them rated"
    names = [str(key) for key in ids]
    out.print(table(("item", *names), ratings, title=title, numbers=names))


def _rating(value: float | None) -> Text:
    return cell("-", "dim") if value is None else cell(f"{value:g}")


def _print_pair(pair: Pair) -> None:
    out = console()
    for note in pair.notes:
        out.print(Text("note: ", style="yellow") + cell(note), soft_wrap=True)
    known = "not rated" if pair.rating is None else f"rated {pair.rating:g}"
    rows = [
        (
            opinion.model,
            f"{opinion.prediction:.2f}",
            "-" if pair.rating is None else f"{pair.rating:g}",
            opinion.tier,
            opinion.basis,
        )
        for opinion in pair.opinions
    ]
    title = f"{pair.user}, {name_of(pair.item, pair.title)}: {known}"
    columns = ("model", "prediction", "rating", "tier", "from")
    out.print(table(columns, rows, title=title, numbers=("prediction", "rating")))
