"""Which column is what: cases from files that people have, and random files of both shapes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfspark.config.config import IngestOptions, InputColumns
from mfspark.errors import InputError
from mfspark.ingest.readers.columns import file_columns, without_ratings
from mfspark.ingest.readers.shapes.wide import WideColumns
from tests.support.rounds import rounds

PEOPLE, FILMS = range(1, 61), range(101, 131)


def long_rows(seed=1):
    """Eight ratings by each of 60 users of 30 items, as (user, item, rating)."""
    chance = random.Random(seed)
    return [(u, i, chance.randint(1, 5)) for u in PEOPLE for i in chance.sample(FILMS, 8)]


def table(header, rows, delimiter=","):
    return "\n".join([*header, *(delimiter.join(map(str, row)) for row in rows)]) + "\n"


def truth(rows):
    return sorted((str(u), str(i), float(r)) for u, i, r in rows)


def test_title_row_swaps_no_columns(read, ratings_of, rejects_of, file):
    rows = long_rows()
    swapped = [(r, i, u) for u, i, r in rows]
    for title in ("Ratings export,,", "Ratings export"):
        found = read(file("r.csv", table([title, "rating,movieId,userId"], swapped)))
        assert sorted(ratings_of(found)) == truth(rows)
        assert rejects_of(found) == []


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("movieId,name,userId,rating", lambda u, i, r: (i, f"Film {i}", u, r)),
        ("name,user_id,movie_id,rating", lambda u, i, r: (f"Mary {u % 7}", u, i, r)),
        ("username,user_id,movie,rating", lambda u, i, r: ("x", u, i, r)),
        ("score,item,user,rating", lambda u, i, r: (9, i, u, r)),
        ("movie,movie_id,user_id,rating", lambda u, i, r: ("x", i, u, r)),
        ("user_idx,user_id,item_id,rating", lambda u, i, r: (u, u, i, r)),  # they say the same
    ],
)
def test_most_specific_name_wins(read, ratings_of, file, header, order):
    rows = long_rows()
    found = read(file("r.csv", table([header], [order(*row) for row in rows])))
    assert sorted(ratings_of(found)) == truth(rows)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("customer_id,member_id,item,rating", "'customer_id' and column 2 'member_id'"),
        ("user,user,item,rating", "column 1 'user' and column 2 'user'"),
    ],
)
def test_two_equally_good_names_are_asked_for(read, file, header, message):
    path = file("r.csv", table([header], [(r, u, i, r) for u, i, r in long_rows()]))
    with pytest.raises(InputError, match=message) as raised:
        read(path)
    assert '--set ingest.columns.user="1"' in raised.value.hint
    assert len(read(path, columns=InputColumns(user="2"))) == 480


def test_names_of_films_are_no_users(read, file):
    rows = [(f"Film {i}", i, r) for _, i, r in long_rows()]
    with pytest.raises(InputError, match="which column is the user") as raised:
        read(file("r.csv", table(["name,movieId,rating"], rows)))
    assert "ingest.columns.user" in raised.value.hint


def test_event_log_is_asked_for(read, ratings_of, file):
    chance = random.Random(1)
    header = "user_id,video_id,play_duration,video_duration,date,timestamp,watch_ratio"
    rows = [
        (u, i, chance.randint(5000, 20000), chance.randint(5000, 20000), 20200705, 1593878904.4, r)
        for u, i, r in long_rows()
    ]
    path = file("log.csv", table([header], rows))
    with pytest.raises(InputError, match=r"which column is the rating .found: .*watch_ratio"):
        read(path)
    found = read(path, columns=InputColumns(rating="watch_ratio"))
    assert sorted(ratings_of(found)) == truth(long_rows())


def test_unknown_names_do_not_make_a_table_wide(read, ratings_of, file):
    chance = random.Random(1)
    rows = [(u, chance.randint(101, 140), chance.randint(1, 5)) for u in range(200)]
    for header in ("uid,vid,value", "viewer,clip,liked", "who,what,how much"):
        found = read(file("log.csv", table([header], rows)))
        assert sorted(ratings_of(found)) == truth(rows)


def jester(n_jokes=20):
    chance = random.Random(1)
    jokes = [[round(chance.uniform(-10, 10), 2) for _ in range(n_jokes)] for _ in range(60)]
    return [[r if chance.random() < 0.6 else 99 for r in row] for row in jokes]


def test_headerless_matrix_is_wide(read, ratings_of, file):
    """Jester: the first column counts the ratings of a row, 99 is no rating."""
    rows = jester()
    path = file("j.csv", table([], [[sum(r != 99 for r in row), *row] for row in rows]))
    found = ratings_of(read(path))
    assert sorted(found) == sorted(
        (str(user), str(joke), float(r))
        for user, row in enumerate(rows, 1)
        for joke, r in enumerate(row, 1)
        if r != 99
    )
    named = file("k.csv", table([], [[f"u{n}", *row] for n, row in enumerate(rows)]))
    assert {user for user, _, _ in ratings_of(read(named))} == {f"u{n}" for n in range(60)}


def test_headerless_matrix_of_few_columns_is_refused(read, file):
    chance = random.Random(1)
    rows = [[chance.randint(1, 5) for _ in range(4)] for _ in range(40)]
    with pytest.raises(InputError, match=r"its pairs|cannot tell which"):
        read(file("m.csv", table([], rows)))


SURVEY = "name,alter,Heat,Up,Big,Jaws,Ran,Summe,Mittel,handy"


def survey(n=30):
    chance = random.Random(1)
    films = [[chance.randint(1, 5) for _ in range(5)] for _ in range(n)]
    return [
        (f"Person {k}", 20 + 7 * k % 30, *row, sum(row), f"{sum(row) / 5:.2f}", 5550000 + 37 * k)
        for k, row in enumerate(films)
    ]


@pytest.mark.parametrize("header", [SURVEY, "name,age,Heat,Up,Big,Jaws,Ran,Total,Average,phone"])
def test_totals_ages_and_phone_numbers_are_no_items(read, ratings_of, rejects_of, file, header):
    """By their names, and where those say nothing by what they hold."""
    rows = [*survey(), ("Average", 35, 3, 3, 3, 3, 3, 15, 3, "")]
    found = read(file("s.csv", table([header], rows)))
    assert {item for _, item, _ in ratings_of(found)} == {"Heat", "Up", "Big", "Jaws", "Ran"}
    assert len(ratings_of(found)) == 150
    assert rejects_of(found) == [(32, "totals_row", "Average,35,3,3,3,3,3,15,3,")]


def test_columns_left_out_are_named_with_the_reason():
    columns = file_columns(
        [SURVEY.split(","), *([str(c) for c in row] for row in survey())], IngestOptions(), "s.csv"
    )
    assert columns.description == (
        "wide, user = 'name', 5 items, ignored: 'alter' (outside the scale 1 to 5 of the others), "
        "'Summe', 'Mittel' (the mean of the others), "
        "'handy' (outside the scale 1 to 5 of the others)"
    )


def test_ignored_columns_of_long_tables_are_named():
    epinions = "user_id,product_id,category_id,rating,helpfulness,timestamp"
    row = ["1", "7", "3", "5", "4", "993945600"]
    columns = file_columns([epinions.split(","), row], IngestOptions(), "e.csv")
    assert columns.description == (
        "long, user = 'user_id', item = 'product_id', rating = 'rating', timestamp = 'timestamp', "
        "ignored: 'category_id', 'helpfulness'"
    )


def test_public_shapes_read_as_they_come(read, ratings_of, file):
    crossing = 'User-ID;ISBN;Book-Rating\n"276725";"034545104X";"0"\n"276726";"0155061224";"5"\n'
    assert ratings_of(read(file("bx.csv", crossing))) == [
        ("276725", "034545104X", 0.0),
        ("276726", "0155061224", 5.0),
    ]
    rows = long_rows()
    assert sorted(ratings_of(read(file("film.tsv", table([], rows, "\t"))))) == truth(rows)


def test_guessed_flags_are_read_and_said():
    chance = random.Random(1)
    rows = [[str(u), str(i), str(chance.randint(0, 1))] for u, i, _ in long_rows()]

    def described(header, rows):
        return file_columns([header.split(","), *rows], IngestOptions(), "c.csv").description

    said = "its ratings are 0 and 1 alone"
    named = described("user_id,item_id,clicked", rows)
    assert said in named
    assert "ingest.missing_ratings=[0] --set ingest.columns.rating=clicked)" in named
    assert said not in described("user_id,item_id,rating", rows)
    bought = [[f"u{n}", *(str(chance.randint(0, 1)) for _ in range(6))] for n in range(20)]
    assert said in described("user,a,b,c,d,e,f", bought)


@pytest.mark.parametrize("name", ["Movie Name", "Restaurant", "film_title", "Name of the book"])
def test_a_row_an_item_is_asked_for(read, file, name):
    chance = random.Random(1)
    rows = [(f"Film {n}", *(chance.randint(1, 5) for _ in range(30))) for n in range(12)]
    header = ",".join([name, *(f"Person {n}" for n in range(30))])
    with pytest.raises(InputError, match="transpose it"):
        read(file("films.csv", table([header], rows)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_kg", lambda u, _i, _n: 60 + u),
        ("list_price", lambda _u, i, _n: i % 7 + 0.99),
        ("since", lambda _u, _i, n: 202301 + n % 12),
        ("dow", lambda _u, _i, n: n % 7),
    ],
)
def test_what_is_no_rating_by_its_values_or_name(read, file, name, value):
    rows = [(u, i, value(u, i, n)) for n, (u, i, _) in enumerate(long_rows())]
    with pytest.raises(InputError, match="which column is the rating") as raised:
        read(file("r.csv", table([f"user_id,item_id,{name}"], rows)))
    assert f"--set ingest.columns.rating={name}" in raised.value.hint
    assert len(read(file("r.csv", table(["user_id,item_id,rating"], rows)))) == 480, "it is named"


def test_days_of_a_sheet_are_no_items(read, file):
    chance = random.Random(1)
    rows = [(f"Person {n}", *(chance.randint(1, 5) for _ in range(4))) for n in range(30)]
    with pytest.raises(InputError, match="its columns are named as dates"):
        read(file("days.csv", table(["name,2024-01-01,2024-01-02,2024-01-03,2024-01-04"], rows)))


@pytest.mark.parametrize("index", ["Unnamed: 0", "", "row"])
def test_an_index_of_rows_is_no_part(read, ratings_of, file, index):
    rows = long_rows()
    numbered = [(n, *row) for n, row in enumerate(rows)]
    found = ratings_of(read(file("r.csv", table([f"{index},who,what,how much"], numbered))))
    assert sorted(found) == truth(rows)


def test_counts_with_returns_are_no_ratings(read, file):
    rows = [(u, i, -1 if n % 50 == 0 else r) for n, (u, i, r) in enumerate(long_rows())]
    with pytest.raises(InputError, match="which column is the rating"):
        read(file("sold.csv", table(["customer_id,product_id,quantity"], rows)))


def test_ids_with_a_comma_among_numbers_with_commas(read, ratings_of, file):
    """As German Excel writes floats; the .0 goes where ids are compared."""
    rows = [(f"{u},0", i, f"{r},5") for u, i, r in long_rows()]
    found = ratings_of(read(file("r.csv", table(["user;item;rating"], rows, ";"))))
    assert sorted(found) == sorted((f"{u}.0", str(i), r + 0.5) for u, i, r in long_rows())


def test_names_of_two_lines_are_shown_on_one():
    columns = file_columns(
        [["user\ufdd0id", "item id", "rating"], ["1", "2", "3"]], IngestOptions(), "c.csv"
    )
    assert columns.description.startswith("long, user = 'user id', item = 'item id'")


def test_wide_without_header_can_be_set(read, ratings_of, file):
    path = file("m.csv", "a,4,5\nb,3,\n")
    found = ratings_of(read(path, format="wide_csv", header=False))
    assert found == [("a", "1", 4.0), ("a", "2", 5.0), ("b", "1", 3.0)]


# Random files of both shapes. What a file says is known from how it was made; a reading is right,
# or the file is refused. Where names say all, it must not be refused.

_KNOWN = {
    "user": ["userId", "user_id", "User ID", "uid", "customer_id", "reviewerID"],
    "item": ["movieId", "item_id", "asin", "ISBN", "product", "track id"],
    "rating": ["rating", "Book-Rating", "stars", "score"],
    "timestamp": ["timestamp", "ts", "date"],
}
_UNKNOWN = ["p", "q", "x1", "feld", "wert", "spalte", "col7"]
_EXTRA = {
    "genre": lambda c: c.choice(["Drama", "Crime"]),
    "name": lambda c: c.choice(["Mary", "John", "Film 1"]),
    "helpful": lambda c: c.randint(0, 5),
    "price": lambda c: round(c.uniform(5, 500), 2),
    "row": lambda c: c.randint(1, 10**6),
}
_SCALES = [
    lambda c: c.randint(1, 5),
    lambda c: c.randint(1, 10),
    lambda c: c.randint(1, 10) / 2,
    lambda c: round(c.uniform(-10, 10), 2),
    lambda c: c.randint(0, 100),
]


def _ids(chance):
    kind, start = chance.choice(["number", "text"]), chance.choice([0, 1, 100, 5000])
    n = chance.randint(8, 60)
    return [str(start + k) if kind == "number" else f"id{k}" for k in range(n)]


def _random_long(chance):
    """Return the lines of a long table, its ratings, and whether its names say all."""
    users, items, scale = _ids(chance), _ids(chance), chance.choice(_SCALES)
    pairs = [(u, i) for u in users for i in items]
    pairs = chance.sample(pairs, min(len(pairs), chance.randint(20, 400)))
    if chance.random() < 0.5:
        pairs.sort()
    rows = [(u, i, scale(chance)) for u, i in pairs]
    columns = dict(zip(("user", "item", "rating"), zip(*rows, strict=True), strict=True))
    if chance.random() < 0.4:
        columns["timestamp"] = [chance.randint(10**9, 16 * 10**8) for _ in rows]
    how = chance.choice(["known", "known", "some", "unknown", "none"])
    names = {part: chance.choice(_KNOWN[part]) for part in columns}
    extras = chance.sample(sorted(_EXTRA), chance.randint(0, 3)) if how != "none" else []
    for name in extras:
        columns[name] = [_EXTRA[name](chance) for _ in rows]
        names[name] = name
    order = list(columns)
    if how == "known":
        chance.shuffle(order)
    unknown = chance.sample(_UNKNOWN, 3)
    names |= {
        part: other
        for part, other in zip(("user", "item", "rating"), unknown, strict=True)
        if how == "unknown" or (how == "some" and chance.random() < 0.5)
    }
    header = [] if how == "none" else [",".join(names[part] for part in order)]
    if header and chance.random() < 0.3:
        header.insert(0, "Export of ratings" + "," * chance.choice([0, len(order) - 1]))
    cells = list(zip(*(columns[part] for part in order), strict=True))
    return table(header, cells), truth(rows), how == "known"


def _random_wide(chance):
    """Return the lines of a wide table, its ratings, and whether it must be read."""
    scale, n, m = chance.choice(_SCALES[:4]), chance.randint(12, 60), chance.randint(6, 15)
    blank = chance.choice([0.0, 0.3, 0.6])
    cells = [[scale(chance) if chance.random() > blank else "" for _ in range(m)] for _ in range(n)]
    code = 99 if chance.random() < 0.2 and blank else ""
    people, films = [f"Person {k}" for k in range(n)], [f"Film {k}" for k in range(m)]
    rows = [
        (who, film, r)
        for who, row in zip(people, cells, strict=True)
        for film, r in zip(films, row, strict=True)
        if r != ""
    ]
    columns = {chance.choice(["name", "user", "Your name", "wer"]): people}
    for k, film in enumerate(films):
        columns[film] = [code if row[k] == "" else row[k] for row in cells]
    if chance.random() < 0.4:
        columns["mobil"] = [5 * 10**9 + chance.randint(0, 10**8) for _ in people]
    if chance.random() < 0.4:
        columns["summe"] = [sum(r for r in row if r != "") + 0.0 for row in cells]
    if chance.random() < 0.4:
        columns["Any comments"] = [chance.choice(["", "fine", "too long"]) for _ in people]
    if chance.random() < 0.3:
        columns["lfd"] = list(range(1, n + 1))
    order = list(columns)
    if chance.random() < 0.5:
        chance.shuffle(order)
    lines = list(zip(*(columns[name] for name in order), strict=True))
    if chance.random() < 0.4:
        lines.append(_summed(chance, order, films, cells))
    return table([",".join(order)], lines), truth(rows), True


def _summed(chance, order, films, cells):
    """Return a row of sums or means, below the films alone."""
    digits = chance.choice([None, 1, 2])
    known = {film: [row[k] for row in cells if row[k] != ""] or [0] for k, film in enumerate(films)}
    sums = {
        film: sum(column) if digits is None else round(sum(column) / len(column), digits)
        for film, column in known.items()
    }
    label = dict.fromkeys(("name", "user", "Your name", "wer"), "zz")
    return tuple(sums.get(name, label.get(name, "")) for name in order)


def test_averages_count_ratings_that_look_like_a_code(read, ratings_of, file):
    """In the rows in the middle 0.5 stands apart, as a code for not rated would; it is a rating."""
    rows = [
        (5.0, 2.0, 1.0, 4.0, 1.0, 2.5), (3.5, 1.0, 3.5, 0.5, 4.0, 0.5),
        (2.5, 2.5, 4.5, 2.5, 5.0, 3.5), (4.5, 3.5, 5.0, 2.0, 2.0, 0.5),
        (0.5, 3.0, 4.5, 4.5, 3.5, 0.5), (5.0, 0.5, 4.0, 4.5, 4.0, 4.5),
        (5.0, 0.5, 3.5, 2.5, 1.5, 4.0), (4.5, 5.0, 2.0, 4.5, 4.0, 5.0),
        (3.5, 4.0, 2.5, 1.5, 2.0, 4.5), (3.0, 3.5, 4.5, 5.0, 4.5, 5.0),
        (1.5, 0.5, 3.5, 2.0, 1.5, 3.5), (4.5, 4.0, 5.0, 3.0, 2.0, 3.0),
    ]  # fmt: skip
    means = [round(sum(column) / len(rows), 1) for column in zip(*rows, strict=True)]
    lines = [(f"Person {k}", *row) for k, row in enumerate(rows)] + [("zz", *means)]
    path = file("t.csv", table(["Your name,Heat,Up,Big,Alien,Jaws,Brazil"], lines))
    assert {user for user, _, _ in ratings_of(read(path))} == {f"Person {k}" for k in range(12)}


@pytest.mark.parametrize("user", ["{}", "id{}", "7f{}a"])
def test_ids_and_two_columns_of_numbers_among_more_may_be_a_long_table(read, file, user):
    """Without a name that says what is what; with only five columns, no order is usual."""
    rows = [
        (7 * k % 40 + 1, user.format(k), 37 * k % 97, 1_061_719_491 + k, k % 6) for k in range(21)
    ]
    path = file("t.csv", table(["x1,p,feld,timestamp,helpful"], rows))
    with pytest.raises(InputError, match="wide"):
        read(path)


@pytest.mark.parametrize(("title", "asked"), [("helpful", True), ("Heat", False)])
def test_votes_are_hardly_an_item_of_a_small_sheet(read, file, title, asked):
    """Each user comes once; users, films of few numbers and ratings look like a sheet."""
    rows = [
        (7 * k % 40 + 1, k % 6 + 1, 5 * k % 6 + 1, 7 * k % 6 + 1, 9973 * k % 997) for k in range(22)
    ]
    path = file("t.csv", table([f"wert,p,col7,{title},row"], rows))
    if asked:
        with pytest.raises(InputError, match="called as what lies beside ratings"):
            read(path)
    else:
        assert len(read(path)) == 3 * 22


@pytest.mark.parametrize(("names", "asked"), [(3, True), (21, False)])
def test_codes_beside_a_few_names_may_be_the_users(read, ratings_of, file, names, asked):
    """Of 21 names each may be a person; of 3 names, and ten codes, the codes may be."""
    people = [f"Person {'abcdefghijklmnopqrstu'[k % names]}" for k in range(42)]
    rows = [(f"id{k % 10}", f"p{k}", k % 5 + 0.5, people[k]) for k in range(42)]
    path = file("t.csv", table(["col7,product,wert,name"], rows))
    if asked:
        with pytest.raises(InputError, match="name"):
            read(path)
    else:
        assert {user for user, *_ in ratings_of(read(path))} == set(people)


@pytest.mark.parametrize(
    ("names", "column", "number", "asked"),
    [
        (3, "col7", lambda k: k % 10, True),  # the users, or how often they saw it
        (3, "col7", lambda k: k % 3 + 30, False),  # ages
        (3, "col7", lambda k: k % 14 + 60, False),  # lengths of the films
        (3, "col7", lambda k: f"tt{k % 14}", False),  # ids of theirs
        (3, "col7", lambda k: k, False),  # of the row
        (3, "col7", lambda k: k % 10 / 2, False),
        (3, "votes", lambda k: k % 10, False),
        (21, "col7", lambda k: k % 10, False),
    ],
)
def test_whole_numbers_beside_a_few_names_may_be_the_users(
    read, ratings_of, file, names, column, number, asked
):
    people = [f"Person {'abcdefghijklmnopqrstu'[k % names]}" for k in range(42)]
    rows = [(number(k), f"p{k % 14}", k % 5 + 0.5, people[k], k * 7.5) for k in range(42)]
    path = file("t.csv", table([f"{column},product,score,name,cost"], rows))
    named = {"columns": InputColumns(user="name")}
    if asked:
        with pytest.raises(InputError, match="another column may be their ids") as raised:
            read(path)
        assert "--set ingest.columns.user=col7" in raised.value.hint
    for options in [named] if asked else [{}, named]:
        assert {user for user, *_ in ratings_of(read(path, **options))} == set(people)


@pytest.mark.faults
@settings(max_examples=rounds(2000, 20_000), deadline=None)
@given(seed=st.integers(0, 2**40), wide=st.booleans())
def test_random_tables_are_read_right_or_refused(read, ratings_of, tmp_path_factory, seed, wide):
    chance = random.Random(seed)
    text, expected, must_be_read = (_random_wide if wide else _random_long)(chance)
    path = tmp_path_factory.getbasetemp() / "random.csv"
    path.write_text(text)
    try:
        found = ratings_of(read(path))
    except InputError:
        if must_be_read:
            raise
        return
    assert sorted(found) == expected, text[:300]


def test_wide_columns_describe_what_is_not_rated():
    columns = WideColumns(-1, ((1, "1"), (2, "2")), not_rated=(99.0,))
    assert columns.describe(["", "", ""]) == (
        "wide, user = number of the line, 2 items, 99 = not rated, ignored: column 1"
    )


def events(seed=3):
    """Return 480 rows of (user, item, how often, minutes)."""
    chance = random.Random(seed)
    return [(u, i, r, round(chance.uniform(0.1, 50), 2)) for u, i, r in long_rows()]


@pytest.mark.parametrize(
    "header",
    [
        "user_id,product_id,price",
        "user_id,item_id,age",
        "userId,itemId,page",
        "user_id,movieId,duration",
        "movieId,tagId,relevance",  # what is left over is no user
        "user_id,item_id,category_id",
    ],
)
def test_what_a_name_denies_is_not_guessed(read, file, header):
    path = file("e.csv", table([header], [(u, i, m) for u, i, _, m in events()]))
    with pytest.raises(InputError, match="cannot tell which column is the") as raised:
        read(path)
    assert "--set ingest.columns." in raised.value.hint


@pytest.mark.parametrize("name", ["weight", "x"])
def test_what_lies_on_no_scale_is_not_guessed_as_a_rating(read, file, name):
    chance = random.Random(1)
    rows = [(u, i, chance.randint(1, 5000)) for u, i, _ in long_rows()]
    with pytest.raises(InputError, match=r"the rating .*\n.*lie on no scale"):
        read(file("e.csv", table([f"userID,artistID,{name}"], rows)))


def test_times_are_no_ratings(read, file):
    rows = [(u, i, 964982703 + 1000 * u) for u, i, _ in long_rows()]
    with pytest.raises(InputError, match="or are times") as raised:
        read(file("e.csv", table([], rows)))
    assert "ingest.feedback=implicit" in raised.value.hint


@pytest.mark.parametrize("name", ["plays", "Quantity", "play_count"])
def test_how_often_is_no_rating(read, ratings_of, file, name):
    rows = [(u, i, n, "2020-01-01") for u, i, n, _ in events()]
    for more in ({}, {"feedback": "implicit"}):
        columns = file_columns(
            [f"user,item,{name},date".split(","), *([str(c) for c in row] for row in rows)],
            IngestOptions(**more),
            "e.csv",
        )
        assert columns.description == (
            f"long, user = 'user', item = 'item', number of choices = '{name}', timestamp = 'date'"
        )
        assert without_ratings(columns.columns)
    path = file("e.csv", table([f"user,item,{name},date"], rows))
    assert sorted(ratings_of(read(path))) == truth(long_rows())
    gone = file("g.csv", table([f"user,item,{name}"], [(u, i, n - 3) for u, i, n, _ in events()]))
    assert len(ratings_of(read(gone, feedback="explicit"))) == 480  # then it is a rating


def test_products_are_no_users(read, ratings_of, file):
    """Amazon's files of 2018 have the item first."""
    rows = [(f"B00{i:07d}", f"A{u:013d}", float(r), 1400000000 + u) for u, i, r in long_rows()]
    path = file("a.csv", table([], rows))
    with pytest.raises(InputError, match="its users look like products") as raised:
        read(path)
    assert "--set ingest.columns.user=1 --set ingest.columns.item=2" in raised.value.hint
    found = ratings_of(read(path, columns=InputColumns(user="2", item="1")))
    assert sorted(found) == sorted((user, item, r) for item, user, r, _ in rows)


def test_row_numbers_are_no_users(read, file):
    rows = [(n, *row) for n, row in enumerate(long_rows())]
    with pytest.raises(InputError, match="cannot tell which"):
        read(file("r.csv", table([], rows)))


def test_tables_of_people_and_of_films_are_no_ratings(read, file):
    people = [(n, "MF"[n % 2], 20 + n % 40, n % 20, 10000 + n) for n in range(60)]
    with pytest.raises(InputError, match="no user comes again, and columns are left over"):
        read(file("users.dat", table([], people, "::")))
    chance = random.Random(1)
    films = [
        (n, f"Film {n}", "01-Jan-1995", "", "x", *[chance.randint(0, 1) for _ in range(19)])
        for n in range(60)
    ]
    with pytest.raises(InputError, match="its cells are 0 and 1 and have no titles"):
        read(file("u.item", table([], films, "|")))


def test_the_only_id_that_comes_again_is_the_item(read, ratings_of, file):
    rows = [(u, i, r, 3, 4) for u, i, r in long_rows()]
    found = read(file("r.csv", table(["userID,cafeID,rating,food,service"], rows)))
    assert sorted(ratings_of(found)) == truth(long_rows())
    with pytest.raises(InputError, match="which column is the item"):
        read(
            file(
                "s.csv",
                table(
                    ["user,entry_id,rating,food,service"],
                    [(u, 1000 * u + i, r, 3, 4) for u, i, r in long_rows()],
                ),
            )
        )


def test_headerless_rows_of_people_are_not_read_as_long(read, file):
    chance = random.Random(1)
    rows = [(f"u{n}", *[chance.randint(1, 5) for _ in range(3)]) for n in range(40)]
    for width in (3, 4):
        with pytest.raises(InputError, match="no user comes again, and its items may be ratings"):
            read(file("m.csv", table([], [row[:width] for row in rows])))


@pytest.mark.parametrize("header", ["email,film,stars", "Benutzer,Artikel,Bewertung"])
def test_more_names_that_are_known(read, ratings_of, file, header):
    names = header.split(",")[::-1]
    rows = [(r, i, f"u{u}@x.org") for u, i, r in long_rows()]
    found = ratings_of(read(file("r.csv", table([",".join(names)], rows))))
    assert sorted(found) == sorted((u, str(i), float(r)) for r, i, u in rows)
