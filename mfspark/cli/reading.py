"""Commands that read what was published: path, show, neighbors, predict. No Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mfspark.cli.command import READING, Reply, command
from mfspark.cli.options import opened_run
from mfspark.cli.terminal import cell, console, name_of, table
from mfspark.errors import InputError
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.queries.lookup import Id, Neighborhood, UserList
    from mfspark.queries.predict import Pair
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
        typer.Option("--model", "-m", help="Whose list. Default: the one that people get."),
    ] = None,
) -> Reply:
    """Show a user's list, and what they rated best themselves."""
    from mfspark.cli import answers
    from mfspark.models.records import LISTABLE_ITEMS, SERVING
    from mfspark.queries.lookup import list_of

    found = list_of(run, user, model, n)
    champion = run.record(SERVING)
    answer = answers.ShowAnswer.model_validate(
        {
            "run_id": run.run_id,
            "user": found.user,
            "model": found.source.model,
            "served": champion,
            "items": found.rows,
            "rated_best": found.favourites,
            "models": run.models,
        }
    )

    def tell() -> None:
        limited = run.record(LISTABLE_ITEMS) is not None
        _print_list(found, others=run.models, wanted=n, limited=limited)
        if found.source.served and champion:
            why = f"{champion.model} is served: {champion.why}"
            console().print(cell(why, "dim"), soft_wrap=True)

    return Reply(answer, tell)


@command(app, panel=READING, given=opened_run)
def neighbors(
    run: PublishedRun,
    user: User,
    n: Annotated[int, typer.Option("-n", min=1, max=20, help="Neighbors to show.")] = 5,
    n_items: Annotated[int, typer.Option("--items", min=1, help="Items to show.")] = 15,
) -> Reply:
    """Show who is like a user, with everybody's ratings side by side."""
    from mfspark.cli import answers
    from mfspark.queries.lookup import neighborhood

    found = neighborhood(run, user, n, n_items)
    items = [{**item, "ratings": _ratings_by_user(item["ratings"])} for item in found.items]
    answer = answers.NeighborsAnswer.model_validate(
        {"run_id": run.run_id, "user": found.user, "neighbors": found.neighbors, "items": items}
    )
    return Reply(answer, lambda: _print_neighborhood(found))


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
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 3 where user or item is unknown.")
    ] = False,
) -> Reply:
    """Predict one rating by every model, beside the known rating.

    Users and items that nobody knows are marked as such, and answered from what is known of the
    other one; with --strict they are an error.
    """
    from mfspark.cli import answers
    from mfspark.queries.predict import predict_pair

    pair = predict_pair(run, user, item, model)
    if strict and pair.unknown:
        raise InputError(f"run {run.run_id}: {' and '.join(pair.notes[: len(pair.unknown)])}")
    answer = answers.PredictAnswer.model_validate(
        {**vars(pair), "run_id": run.run_id, "predictions": pair.opinions}
    )
    return Reply(answer, lambda: _print_pair(pair))


@command(app, panel=READING, given=opened_run)
def path(
    run: PublishedRun,
    name: Annotated[str, typer.Argument(metavar="TABLE", help="Such as serving or ratings.")],
    files: Annotated[
        bool, typer.Option("--files", help="Print each of its files, as the manifest lists them.")
    ] = False,
) -> None:
    """Print where a published table lies, and nothing else: a directory, or a URL.

    It never changes: read it for as long as you like.
    """
    if files:
        print("\n".join(run.files(name).shown))
    else:
        print(run.warehouse.storage.show(run.table_key(name)))


def _print_list(found: UserList, *, others: tuple[str, ...], wanted: int, limited: bool) -> None:
    out, user, source = console(), found.user, found.source
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
    title = f"For {user['id']}, by {source.model}"
    columns = ("rank", "item", "score", "tier", *(["because of"] if explained else []))
    out.print(table(columns, rows, title=title, numbers=("rank", "score")))
    if wanted > source.n:
        out.print(cell(f"{source.n} rows a user were published ({source.option})", "dim"))
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


def _ratings_by_user(ratings: dict[Id, float]) -> list[dict[str, object]]:
    return [{"user_id": user, "rating": rating} for user, rating in ratings.items()]


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
    user, item = (f" (unknown {side})" * (side in pair.unknown) for side in ("user", "item"))
    title = f"{pair.user}{user}, {name_of(pair.item, pair.title)}{item}: {known}"
    if pair.unknown:
        title += "; averages, not a prediction for this pair"
    columns = ("model", "prediction", "rating", "tier", "from")
    out.print(table(columns, rows, title=title, numbers=("prediction", "rating")))
