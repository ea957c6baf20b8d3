"""The hash of a pair that splits go by, on arrays: bit for bit what Spark's xxhash64 gives.

XXH64 (Y. Collet, https://github.com/Cyan4973/xxHash) with Spark's seed 42, of the seed as an int
and then of both ids as text, each hashed with the hash of what came before as its seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Words = NDArray[Any]
"""Of uint64."""

_1, _2, _3, _4, _5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_SPARK_SEED = 42


def pair_hash(seed: int, user_ids: pa.Array, item_ids: pa.Array) -> NDArray[np.int64]:
    """Return xxhash64(seed, string(user_id), string(item_id)) of Spark; int64 (n).

    Ids are integers or strings, none of them null.
    """
    with np.errstate(over="ignore"):
        start = _hash_int(seed, np.full(1, _SPARK_SEED, np.uint64))
        users, items = (ids.dictionary_encode() for ids in (user_ids, item_ids))
        n_users = len(users.dictionary)
        of_users = _hash_texts(users.dictionary, np.arange(n_users), np.repeat(start, n_users))
        seeds = of_users[users.indices.to_numpy()]
        return _hash_texts(items.dictionary, items.indices.to_numpy(), seeds).view(np.int64)


def share_of_pair(seed: int, user_ids: pa.Array, item_ids: pa.Array) -> NDArray[np.float64]:
    """Map pairs to [0, 1) as `splits` does: the upper 53 bits of their hash; float64 (n)."""
    hashed = pair_hash(seed, user_ids, item_ids).view(np.uint64)
    return (hashed >> np.uint64(11)).astype(np.float64) / 2.0**53


def _hash_int(number: int, seeds: Words) -> Words:
    return _mixed(_with_half(seeds + _5 + np.uint64(4), np.uint64(number % 2**32)))


def _hash_texts(texts: pa.Array, which: NDArray[np.integer], seeds: Words) -> Words:
    """Hash text which[i] with seed i, for all i (n): texts of equal length at once."""
    encoded = pc.cast(pc.cast(texts, pa.string()), pa.binary())
    lengths = pc.binary_length(encoded).to_numpy(zero_copy_only=False)
    sizes = np.unique(lengths)
    hashes = np.empty(len(which), np.uint64)
    place = np.empty(len(lengths), np.intp)
    for size in sizes:
        same = np.flatnonzero(lengths == size)
        place[same] = np.arange(len(same))
        joined = b"".join(encoded.take(pa.array(same)).to_pylist())
        table = np.frombuffer(joined, np.uint8).reshape(len(same), size)
        rows = slice(None) if len(sizes) == 1 else np.flatnonzero(lengths[which] == size)
        hashes[rows] = _hash_bytes(table, place[which[rows]], seeds[rows])
    return hashes


def _hash_bytes(table: NDArray[np.uint8], rows: NDArray[np.intp], seeds: Words) -> Words:
    """Hash row rows[i] of a table of bytes (texts, size) with seed i, for all i (n)."""
    size = table.shape[1]
    n_words = size // 8
    words = np.ascontiguousarray(table[:, : 8 * n_words]).view("<u8")
    hashed, first = seeds + _5, 0
    if size >= 32:
        lanes = [seeds + _1 + _2, seeds + _2, seeds.copy(), seeds - _1]
        first = n_words // 4 * 4
        for word in range(first):
            lanes[word % 4] = _round(lanes[word % 4], words[rows, word])
        hashed = sum(
            (_turned(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)),
            np.uint64(0),
        )
        for lane in lanes:
            hashed = (hashed ^ _round(np.uint64(0), lane)) * _1 + _4
    hashed = hashed + np.uint64(size)
    for word in range(first, n_words):
        hashed = _turned(hashed ^ _round(np.uint64(0), words[rows, word]), 27) * _1 + _4
    begin = 8 * n_words
    if size - begin >= 4:
        halves = np.ascontiguousarray(table[:, begin : begin + 4]).view("<u4")[:, 0]
        hashed = _with_half(hashed, halves.astype(np.uint64)[rows])
        begin += 4
    for byte in range(begin, size):
        hashed = _turned(hashed ^ table[:, byte].astype(np.uint64)[rows] * _5, 11) * _1
    return _mixed(hashed)


def _round(lane: Words | np.uint64, word: Words) -> Words:
    return _turned(lane + word * _2, 31) * _1


def _with_half(hashed: Any, half: Any) -> Words:
    return _turned(hashed ^ half * _1, 23) * _2 + _3


def _turned(words: Words, bits: int) -> Words:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))


def _mixed(hashed: Any) -> Words:
    hashed = (hashed ^ (hashed >> np.uint64(33))) * _2
    hashed = (hashed ^ (hashed >> np.uint64(29))) * _3
    return hashed ^ (hashed >> np.uint64(32))
