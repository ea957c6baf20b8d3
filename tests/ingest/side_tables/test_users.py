from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.side_tables.users import read_users


def users(*files, **options):
    rows = read_users([str(f) for f in files], IngestOptions(**options)).table.to_pylist()
    return {row["user_id"]: row["attributes"] for row in rows}


ADA, BOB = ["age=24", "gender=F", "job=writer"], ["gender=M"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("users.csv", "userId,age,gender,job\r\n1,24,F,writer\r\n2,,M, \r\n"),
        ("other.csv", "age;gender;ID;job\n 24;F;1;writer\n;M;2;\n"),
        ("tab.tsv", "customer\tage\tgender\tjob\n1\t24\tF\twriter\n2\t\tM\t\n"),
        ("users.csv.gz", "user_id,age,gender,job\n1,24,F,writer\n2,,M,\n"),
    ],
)
def test_text_formats(file, name, content):
    assert users(file(name, content)) == {"1": ADA, "2": BOB}


def test_excel_and_parquet(workbook, tmp_path):
    sheet = [["User", "age", "gender", "job"], [1, 24, "F", "writer"], [2, None, "M", None]]
    assert users(workbook(sheet)) == {"1": ADA, "2": BOB}
    columns = {"id": [1, 2], "age": [24, None], "gender": ["F", "M"], "tags": [["a"], ["b"]]}
    pq.write_table(pa.table(columns), tmp_path / "u.parquet")
    assert users(tmp_path / "u.parquet") == {"1": ADA[:2], "2": BOB}  # lists are no attributes


def test_texts_that_are_no_utf8(tmp_path):
    columns = {"id": pa.array([b"Ren\xe9", b"Ada"]).view(pa.string()), "job": [b"\xe9", b"x"]}
    pq.write_table(pa.table(columns), tmp_path / "u.parquet")
    assert users(tmp_path / "u.parquet") == {"René": ["job=é"], "Ada": ["job=x"]}


def test_files_without_a_header(file):
    hundred = file("u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n")
    assert users(hundred)["2"] == ["age=53", "gender=F", "occupation=other", "zip=94043"]
    million = file("users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    assert users(million)["1"] == ["gender=F", "age=1", "occupation=10", "zip=48067"]
    unknown = file("u.tsv", "1\tNorth\t7\n2\t\t8\n")
    assert users(unknown) == {"1": ["column_2=North", "column_3=7"], "2": ["column_3=8"]}


def test_only_what_is_asked_for_is_kept(file):
    path = file("u.csv", "userId,Name,e-mail,Age\n1,Ada,a@b.c,24\n2,Bob,d@e.f,\n")
    assert users(path, user_attributes=["age"]) == {"1": ["Age=24"], "2": []}
    with pytest.raises(InputError, match=r"no user file has a column country") as raised:
        users(path, user_attributes=["Age", "country"])
    assert "ingest.user_attributes" in (raised.value.hint or "")


def test_ids_alone_are_users_without_attributes(file):
    assert users(file("u.parquet.csv", "userId,x\n1,\n2,\n")) == {"1": [], "2": []}


def test_first_of_equal_ids_counts_and_the_rest_is_counted(file):
    first = file("a.csv", "userId,age\n1,20\n2,30\n1,40\n,50\n3,x,y\n\n")
    second = file("b.csv", "userId,city\n2,Rome\n4,Kiel\n")
    found = read_users([str(first), str(second)], IngestOptions())
    assert [(r["user_id"], r["attributes"]) for r in found.table.to_pylist()] == [
        ("1", ["age=20"]),
        ("2", ["age=30"]),
        ("4", ["city=Kiel"]),
    ]
    assert (found.n_duplicates, found.n_skipped) == (2, 2)


def test_file_without_an_id_column_is_explained(file):
    path = file("u.csv", "name,age\nAda,24\n")
    with pytest.raises(InputError, match=r"no column looks like a user id .found: name, age."):
        users(path)


def test_movielens(data_set):
    found = users(data_set("ml-100k") / "u.user")
    assert len(found) == 943
    assert found["1"] == ["age=24", "gender=M", "occupation=technician", "zip=85711"]


@pytest.mark.parametrize(
    "content",
    [
        "People,,\nuserId,id,age\n1,9,24\n",
        "id,user_id,age\n9,1,24\n",
        "customer,id,customer_id,age\nBob,9,1,24\n",
    ],
)
def test_the_most_specific_name_wins_below_titles(file, content):
    found = users(file("u.csv", content), user_attributes=("age",))
    assert found == {"1": ["age=24"]}


def test_two_columns_of_one_name_are_asked_for(file):
    with pytest.raises(InputError, match="'user_id' and column 2 'userId' could both be meant"):
        users(file("u.csv", "user_id,userId,age\n1,9,24\n"))
