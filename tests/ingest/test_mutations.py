"""Whatever bytes come in: no crash, no row lost, no row counted twice."""

from __future__ import annotations

import csv
import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_GOOD = [b"1,10,4,964982703", b"2,20,3.5,964982704", b"ann,Dangal,5,", b'3,"a, b",1,2020-01-01']
_ODD = [
    b"",
    b",,,",
    b"1,2",
    b"x",
    b"1,2,3,4,5",
    b'4,"open,3,',
    b"5,6,nan,0",
    b"7,8,1e999,",
    b",,3,",
    b'"',
    b"\xff\xfe,1,2,3",
]
_LINES = st.lists(st.sampled_from(_GOOD + _ODD), min_size=1, max_size=12)
_EDITS = st.lists(
    st.tuples(
        st.integers(0, 400), st.sampled_from([b'"', b",", b"\n", b"\r", b"\xe9", b"", b"=", b"-"])
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lines=_LINES, edits=_EDITS, split_bytes=st.sampled_from([3, 17, 1 << 20]), scaled=st.booleans()
)
def test_rows_in_are_rows_accepted_and_rejected(
    read, tmp_path_factory, lines, edits, split_bytes, scaled
):
    data = b"user,item,rating,timestamp\n" + b"\n".join(lines)
    for at, what in edits:  # never in the header, which must stay readable
        at = max(at % (len(data) + 1), 27)
        data = data[:at] + what + data[at + 1 :]
    path = tmp_path_factory.mktemp("mutated") / "r.csv"
    path.write_bytes(data)
    rows = read(path, split_bytes=split_bytes, rating_scale=(0.5, 5) if scaled else None)
    for row in rows:
        if row["reason"] is None:
            assert row["user_id"]
            assert row["item_id"]
            assert row["raw"] is None
            assert -1e308 < row["rating"] < 1e308
        else:
            assert row["raw"] is not None
            assert row["rating"] is None
    places = [row["line"] for row in rows]
    assert len(set(places)) == len(places)
    if b'"' not in data and b"\r" not in data:  # then records are lines and can be counted plainly
        filled = [
            n
            for n, line in enumerate(data.split(b"\n"), 1)
            if line.replace(b",", b"").strip() and n > 1
        ]
        assert sorted(places) == filled


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            *[
                st.text(
                    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6
                )
            ]
            * 3
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_record_of_a_well_formed_csv_is_accounted_for(read, tmp_path_factory, records):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["user", "item", "rating"])
    writer.writerows(records)
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    rows = read(path)
    plain = [r for r in records if not any(c in "\r\n\x85\u2028" for field in r for c in field)]
    expected = [r for r in plain if any(field.strip() for field in r)]
    if len(plain) == len(records):
        assert len(rows) == len(expected)
        accepted = [(r["user_id"], r["item_id"]) for r in rows if r["reason"] is None]
        assert all(
            any(u == a.strip() and i == b.strip() for a, b, _ in records) for u, i in accepted
        )
    else:
        assert len(rows) >= len(expected)
