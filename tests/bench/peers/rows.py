"""Rows and queries that the peers of the evaluator's bench share.

Rows come from the same arithmetic here and in `evaluate/rows.rs`, so no file is shared. What a query gives is told in short, as
`summary` says: the other side compares it with its own.
"""

import sys
import time

import numpy as np

ROWS, PER_SECOND, WINDOW_SECONDS, QUERIES, BLOCK, TINY_PROJECTS, TINY_ROWS = (int(a) for a in sys.argv[1:8])
COLUMNS = {"project": 10, "fingerprint": 5000, "guid": 500_000, "error_type": 20, "app_version": 50}
TINY_COLUMNS = {"fingerprint": 5, "guid": 80}
START = ROWS // PER_SECOND - WINDOW_SECONDS


def mix(n):
    """SplitMix64's finaliser over an array of counters."""
    n = n + np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    n = (n ^ (n >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return n ^ (n >> np.uint64(31))


def column(rows, index, distinct):
    return (mix(np.arange(rows, dtype=np.uint64) * np.uint64(8) + np.uint64(index)) % np.uint64(distinct)).astype(np.uint32)


def codes():
    seconds = (np.arange(ROWS, dtype=np.uint64) // np.uint64(PER_SECOND)).astype(np.uint32)
    age = column(ROWS, 7, 100_000).astype(np.float64) / 4.0
    return {"second": seconds, "age": age} | {name: column(ROWS, i, d) for i, (name, d) in enumerate(COLUMNS.items())}


def tiny_codes():
    rows = TINY_PROJECTS * TINY_ROWS
    project = (np.arange(rows) // TINY_ROWS).astype(np.uint32)
    return {"project": project} | {name: column(rows, i, d) for i, (name, d) in enumerate(TINY_COLUMNS.items())}


def condition(i):
    """The filter of query `i`: attribute, whether it must be equal, value; the version that must not be; the least age."""
    if i % 2:
        kept = ("project", True, f"project-{i // 2 % 10:06d}")
    else:
        kept = ("error_type", False, f"error_type-{i // 2 % 20:06d}")
    return kept, f"app_version-{i % 50:06d}", i // BLOCK * 2500


def kind(i):
    return i // 2 % 4


def summary(columns, keyed):
    """Rows, and of each column of numbers the sum, plain and weighted with the number in the row's key."""
    numbers = columns[1:] if keyed else columns
    weights = [int(key[-6:]) + 1 for key in columns[0]] if keyed else [1]
    told = [len(numbers[0])]
    for values in numbers:
        values = [float(v) for v in values]
        told += [sum(values), sum(v * w for v, w in zip(values, weights))]
    return told


def timed(work):
    """What `work` gives, and the CPU seconds that all threads of this process took for it."""
    before = time.process_time()
    done = work()
    return done, time.process_time() - before
