"""The peer of the evaluator's bench: the same rows and the same 200 window queries in DuckDB.

Prints one JSON object: CPU seconds of the 200 queries, and for each query the number of groups and the sum of each column
over them, which the other side compares with its own. Rows come from the same arithmetic on both sides, so no file is shared.
"""

import json
import sys
import time

import duckdb
import numpy as np

ROWS, PER_SECOND, WINDOW_SECONDS, QUERIES = (int(a) for a in sys.argv[1:5])
COLUMNS = {"project": 10, "fingerprint": 5000, "guid": 500_000, "error_type": 20, "app_version": 50}


def mix(n):
    """SplitMix64's finaliser over an array of counters."""
    n = n + np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    n = (n ^ (n >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return n ^ (n >> np.uint64(31))


def column(index, distinct):
    rows = np.arange(ROWS, dtype=np.uint64)
    return (mix(rows * np.uint64(8) + np.uint64(index)) % np.uint64(distinct)).astype(np.uint32)


connection = duckdb.connect()
connection.execute("SET threads = 2")
seconds = (np.arange(ROWS, dtype=np.uint64) // np.uint64(PER_SECOND)).astype(np.uint32)
arrays = {name: column(i, distinct) for i, (name, distinct) in enumerate(COLUMNS.items())}
age = (mix(np.arange(ROWS, dtype=np.uint64) * np.uint64(8) + np.uint64(7)) % np.uint64(100_000)).astype(np.float64) / 4.0
codes = {"second": seconds, "age": age, **arrays}
texts = ", ".join(f"printf('{name}-%06d', {name}) AS {name}" for name in COLUMNS)
connection.register("codes", codes)
connection.execute(f"CREATE TABLE ev AS SELECT second, age, {texts} FROM codes ORDER BY second")

start = ROWS // PER_SECOND - WINDOW_SECONDS


def query(i):
    kept = f"project = 'project-{i // 2 % 10:06d}'" if i % 2 else f"error_type <> 'error_type-{i // 2 % 20:06d}'"
    where = f"FROM ev WHERE second >= {start} AND {kept} AND app_version <> 'app_version-{i % 50:06d}'"
    return (
        f"SELECT count(*) {where}",
        f"SELECT count(DISTINCT guid) {where}",
        f"SELECT fingerprint, count(DISTINCT guid) {where} GROUP BY 1",
        f"SELECT app_version, count(*), count(DISTINCT guid), max(age) {where} GROUP BY 1",
    )[i // 2 % 4]


answers = []
connection.execute(query(0)).fetchall()
before = time.process_time()
for i in range(QUERIES):
    rows = connection.execute(query(i)).fetchall()
    answers.append(rows)
cpu = time.process_time() - before


def summary(rows):
    numbers = [[v for v in row if not isinstance(v, str)] for row in rows]
    return [len(rows), *(sum(column) for column in zip(*numbers))]


print(json.dumps({"cpu": cpu, "answers": [summary(rows) for rows in answers], "version": duckdb.__version__}))
