from __future__ import annotations

import pyarrow as pa

from mfspark.ingest.readers.id_text import plain_integers


def test_plain_integers():
    ids = [
        "0",
        "7",
        "9223372036854775807",
        "9223372036854775808",
        "007",
        "-1",
        "+1",
        "1.0",
        "",
        "٣",
        "a",
    ]
    assert plain_integers(pa.array(ids)).to_pylist() == [True] * 3 + [False] * 8
