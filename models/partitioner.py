"""Kafka's default partitioner for integer keys: murmur2 of the decimal text, for whole batches.

murmur2 (Austin Appleby, seed 0x9747b28c as in org.apache.kafka.common.utils.Utils) reads four bytes
at a time. Four decimal digits are one of 10,000 words, whose part of the hash comes from a lookup
table. numpy then hashes all ids of one length at once. accelerator.keys is the compiled form.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SEED: Final = 0x9747B28C
MULTIPLIER: Final = 0x5BD1E995
_U32: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF
_WORD: Final = 10_000
_MAX_DIGITS: Final = 20
# For fewer ids of one length, numpy's cost per call exceeds that of hashing them one by one.
_FEW: Final = 16


def _mix(word: int) -> int:
    word = word * MULTIPLIER & _U32
    return (word ^ word >> 24) * MULTIPLIER & _U32


def _texts(digits: int) -> list[int]:
    """Return the text of every number with that many digits, read as a little-endian integer."""
    return [int.from_bytes(f"{i:0{digits}d}".encode(), "little") for i in range(10**digits)]


_WORDS: Final = [_mix(text) for text in _texts(4)]
_TAILS: Final = [[0], _texts(1), _texts(2), _texts(3)]
_WORDS_NP: Final = np.array(_WORDS, dtype=np.uint32)
_TAILS_NP: Final = [np.array(tail, dtype=np.uint32) for tail in _TAILS]
_POWERS: Final = [10**digits for digits in range(_MAX_DIGITS)]
_POWERS_NP: Final = np.array(_POWERS[1:], dtype=np.uint64)
_M_NP: Final = np.uint32(MULTIPLIER)


def partition_of(key: int, n: int) -> int:
    """Return the partition, of n, of a key's decimal text by Kafka's default partitioner."""
    length = len(str(key))
    blocks, tail_digits = divmod(length, 4)
    rest, tail = divmod(key, _POWERS[tail_digits])
    h = SEED ^ length
    for block in range(blocks - 1, -1, -1):
        h = h * MULTIPLIER & _U32 ^ _WORDS[rest // _WORD**block % _WORD]
    if tail_digits:
        h = (h ^ _TAILS[tail_digits][tail]) * MULTIPLIER & _U32
    h = (h ^ h >> 13) * MULTIPLIER & _U32
    return ((h ^ h >> 15) & _POSITIVE) % n


def murmur2_partitions(
    ids: Sequence[int] | npt.NDArray[np.integer[Any]], n: int
) -> npt.NDArray[np.int64]:
    """Return partition_of for each of many ids, all from 0 to 2**64 - 1."""
    keys = np.asarray(ids, dtype=np.uint64)
    lengths = np.searchsorted(_POWERS_NP, keys, side="right") + 1
    order = np.argsort(lengths, kind="stable")
    bounds = np.searchsorted(lengths[order], np.arange(1, _MAX_DIGITS + 2))
    partitions = np.empty(len(keys), dtype=np.int64)
    for length, (start, end) in enumerate(pairwise(bounds), start=1):
        if start < end:
            group = order[start:end]
            partitions[group] = _partitions_of_length(keys[group], length, n)
    return partitions


def _partitions_of_length(
    keys: npt.NDArray[np.uint64], length: int, n: int
) -> npt.NDArray[np.int64]:
    if len(keys) < _FEW:
        return np.array([partition_of(key, n) for key in keys.tolist()], dtype=np.int64)
    blocks, tail_digits = divmod(length, 4)
    rest, tail = np.divmod(keys, np.uint64(_POWERS[tail_digits]))
    words = []
    for _ in range(blocks):
        rest, word = np.divmod(rest, np.uint64(_WORD))
        words.append(word)
    h = np.full(len(keys), SEED ^ length, dtype=np.uint32)
    for word in reversed(words):
        h *= _M_NP
        h ^= _WORDS_NP[word]
    if tail_digits:
        h ^= _TAILS_NP[tail_digits][tail]
        h *= _M_NP
    h ^= h >> np.uint32(13)
    h *= _M_NP
    h ^= h >> np.uint32(15)
    h &= np.uint32(_POSITIVE)
    return (h % np.uint32(n)).astype(np.int64)
