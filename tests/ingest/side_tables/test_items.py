from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.side_tables.items import read_items


def items(*files):
    return read_items([str(f) for f in files], IngestOptions()).table.to_pylist()


def item(item_id, title, genres):
    return {"item_id": item_id, "title": title, "genres": genres}


TOY, HEAT = item("1", "Toy Story (1995)", ["Animation", "Comedy"]), item("2", "Heat", [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "movies.csv",
            "movieId,title,genres\r\n1,Toy Story (1995),Animation|Comedy\r\n"
            "2,Heat,(no genres listed)\r\n",
        ),
        ("other.csv", "Genre;Name;ID\nAnimation|Comedy;Toy Story (1995);1\n;Heat;2\n"),
        ("movies.dat", "1::Toy Story (1995)::Animation|Comedy\n2::Heat::\n"),
        ("tab.tsv", "1\tToy Story (1995)\tAnimation|Comedy\n2\tHeat\t(no genres listed)\n"),
        ("movies.csv.gz", "movieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n2,Heat,\n"),
    ],
)
def test_text_formats(file, name, content):
    assert items(file(name, content)) == [TOY, HEAT]


def test_excel_and_parquet(workbook, tmp_path):
    assert items(
        workbook(
            [
                ["id", "title", "genres"],
                [1, "Toy Story (1995)", "Animation|Comedy"],
                [2, "Heat", None],
            ]
        )
    ) == [
        TOY,
        HEAT,
    ]
    table = pa.table(
        {
            "item_id": [1, 2],
            "title": ["Toy Story (1995)", "Heat"],
            "genres": [["Animation", "Comedy"], []],
        }
    )
    pq.write_table(table, tmp_path / "i.parquet")
    assert items(tmp_path / "i.parquet") == [TOY, HEAT]


def test_ids_of_a_parquet_file_are_those_of_its_ratings(tmp_path):
    """Arrow writes large floats as 1.23456789e+10, as if digits were lost."""
    table = pa.table({"item_id": [12345678900.0, 2.0], "title": ["Heat", None]})
    pq.write_table(table, tmp_path / "i.parquet")
    assert [row["item_id"] for row in items(tmp_path / "i.parquet")] == ["12345678900", "2"]


def test_quoted_titles_and_latin_1(file):
    text = 'movieId,title,genres\n1,"American President, The (1995)",Drama\n'
    text += '2,"The ""Best""",\n3,Amélie,\n'
    for encoding in ("utf-8", "iso-8859-1"):
        titles = [row["title"] for row in items(file("m.csv", text.encode(encoding)))]
        assert titles == ["American President, The (1995)", 'The "Best"', "Amélie"]


def test_first_of_equal_ids_counts_and_the_rest_is_counted(file):
    first = file("a.csv", "movieId,title\n1,A\n2,B\n1,C\n,D\n3,x,y\n\n")
    second = file("b.csv", "movieId,title\n2,E\n4,F\n")
    found = read_items([str(first), str(second)], IngestOptions())
    assert [(r["item_id"], r["title"], r["genres"]) for r in found.table.to_pylist()] == [
        ("1", "A", None),
        ("2", "B", None),
        ("4", "F", None),
    ]
    assert (found.n_duplicates, found.n_skipped) == (2, 2)


@pytest.mark.parametrize(
    ("texts", "genres"),
    [
        (["['Drama', 'War']", "[]", ""], [["Drama", "War"], [], []]),
        (['["Drama", "Sci-Fi, all"]', '["War"]'], [["Drama", "Sci-Fi, all"], ["War"]]),
        (
            ["[{'id': 1, 'name': 'Drama'}, {'id': 2, 'name': \"Children's\"}]"],
            [["Drama", "Children's"]],
        ),
        (["[Drama, War]", "[War]"], [["[Drama", "War]"], ["[War]"]]),  # no list that is known
    ],
)
def test_genres_written_as_lists(tmp_path, texts, genres):
    table = pa.table({"id": [str(n) for n in range(len(texts))], "genres": texts})
    pq.write_table(table, tmp_path / "i.parquet")
    assert [row["genres"] for row in items(tmp_path / "i.parquet")] == genres


FLAGS = (
    "1|Toy|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n2|Heat|||y|"
    + "|".join("0" * 19)
    + "\n"
)


def test_genre_flags_with_and_without_their_names(file):
    path = file("u.item", FLAGS)
    assert items(path) == [
        item("1", "Toy", ["Animation", "Children's", "Comedy"]),
        item("2", "Heat", []),
    ]
    file("u.genre", "\n".join(f"g{n}|{n}" for n in range(19)) + "\n\n")
    assert items(path)[0]["genres"] == ["g3", "g4", "g5"]


def test_file_without_an_id_column_is_explained(file):
    path = file("t.parquet", "")
    pq.write_table(pa.table({"Name": ["A"]}), path)
    with pytest.raises(InputError, match=r"no column looks like an item id .found: Name\)"):
        items(path)


def test_public_item_files(data_set):
    movies = items(data_set("ml-latest-small") / "movies.csv")
    assert len(movies) == 9742
    assert len({row["title"] for row in movies}) < 9742  # two movies may share a title
    assert movies[0]["genres"] == ["Adventure", "Animation", "Children", "Comedy", "Fantasy"]
    old = items(data_set("ml-100k") / "u.item")
    assert len(old) == 1682
    assert old[0]["genres"] == ["Animation", "Children's", "Comedy"]
    assert any("é" in row["title"] for row in old)
    tweets = items(data_set("movietweetings-100k") / "movies.dat")
    assert (tweets[0]["item_id"], tweets[0]["title"]) == (
        "0002844",
        "Fantômas - À l'ombre de la guillotine (1913)",
    )
    assert len(tweets) == 10_506


@pytest.mark.parametrize(
    ("texts", "genres"),
    [
        (["A|B", "C, D", "B"], [["A", "B"], ["C, D"], ["B"]]),
        (["A, B", "C", "B,C"], [["A", "B"], ["C"], ["B", "C"]]),
        (["A; B", "C", ""], [["A", "B"], ["C"], []]),
        (["Health, Beauty", "Toys", "Health, Beauty"], [["Health, Beauty"], ["Toys"]] * 2),
        (["(no genres listed)", "Drama"], [[], ["Drama"]]),
    ],
)
def test_genres_are_split_by_what_the_column_shows(file, texts, genres):
    lines = [f'{n},T{n},"{text}"' for n, text in enumerate(texts)]
    path = file("m.csv", "\n".join(["movieId,title,genres", *lines]))
    found = read_items([str(path)], IngestOptions()).table["genres"].to_pylist()
    assert found == genres[: len(texts)]


def test_ids_are_those_of_ratings(file):
    """Null literals and ids that lost digits are skipped; floats and Unicode forms are one."""
    lines = ["NULL,a", "1.5E+10,b", "7.0,c", "8,d", "Jose\u0301,Ame\u0301lie"]
    path = file("m.csv", "\n".join(["movieId,title", *lines]))
    found = read_items([str(path)], IngestOptions())
    assert found.n_skipped == 2
    assert found.table["item_id"].to_pylist() == ["7", "8", "José"]
    assert found.table["title"].to_pylist() == ["c", "d", "Amélie"]


@pytest.mark.parametrize("title", ["Catalogue", "Catalogue,,", ",,\nCatalogue of\nall films,,"])
def test_titles_above_the_header_are_no_items(file, workbook, title):
    lines = f"{title}\nmovieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n2,Heat,\n"
    assert items(file("i.csv", lines)) == [TOY, HEAT]
    rows = [line.split(",") for line in lines.splitlines()]
    assert items(workbook(rows)) == [TOY, HEAT]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id,movieId,title,genres", "70,1,Toy Story (1995),Animation|Comedy"),
        ("item,item_id,title,genres", "x,1,Toy Story (1995),Animation|Comedy"),
        ("name,movieId,title,genres", "Bob,1,Toy Story (1995),Animation|Comedy"),
        ("category,movieId,title,genres", "film,1,Toy Story (1995),Animation|Comedy"),
        ("movieId,isbn,title,genres", "1,0195153448,Toy Story (1995),Animation|Comedy"),
    ],
)
def test_the_most_specific_name_of_an_item_wins(file, header, row):
    assert items(file("i.csv", f"{header}\n{row}\n")) == [TOY]


def test_names_nobody_knows_are_no_item(file):
    with pytest.raises(InputError, match=r"an item id .found: code, label"):
        items(file("i.csv", "code,label\n1,Toy Story\n2,Heat\n"))


def test_two_columns_of_one_name_are_asked_for(file):
    with pytest.raises(InputError, match="column 1 'movieId' and column 2 'movie_id'"):
        items(file("i.csv", "movieId,movie_id,title\n1,2,Heat\n"))
