"""Polars as the peer of the evaluator's bench: the same rows in memory, texts as its Categorical (plain strings took eight times
as long), one thread (more took more CPU).

Prints one JSON object: CPU seconds of all threads, and a summary of each answer.
"""

import json
import os

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from rows import BLOCK, COLUMNS, QUERIES, START, codes, condition, kind, summary, timed


def texts(name, values):
    table = pl.Series([f"{name}-{i:06d}" for i in range(COLUMNS[name])])
    return table.gather(pl.Series(values)).cast(pl.Categorical).alias(name)


events = pl.DataFrame([texts(n, v) if n in COLUMNS else pl.Series(n, v) for n, v in codes().items()])


def query(i):
    (name, equal, value), version, age = condition(i)
    kept = pl.col(name) == value if equal else pl.col(name) != value
    kept = (pl.col("second") >= START) & kept & (pl.col("app_version") != version)
    rows = events.lazy().filter(kept & (pl.col("age") >= age) if age else kept)
    unique = pl.col("guid").n_unique()
    return (
        lambda: rows.select(pl.len()),
        lambda: rows.select(unique),
        lambda: rows.group_by("fingerprint").agg(unique),
        lambda: rows.group_by("app_version").agg(pl.len(), unique, pl.col("age").max()),
    )[kind(i)]().collect()


def columns(frame):
    return [column.cast(pl.String).to_list() if i == 0 and len(frame.columns) > 1 else column.to_list() for i, column in enumerate(frame)]


query(0)
first, block_cpu = timed(lambda: [query(i) for i in range(BLOCK)])
rest, rest_cpu = timed(lambda: [query(i) for i in range(BLOCK, QUERIES)])
unique, unique_cpu = timed(lambda: events.lazy().group_by("fingerprint").agg(pl.col("guid").n_unique()).collect())

print(
    json.dumps(
        {
            "block": block_cpu,
            "all": block_cpu + rest_cpu,
            "unique": unique_cpu,
            "answers": [summary(columns(answer), kind(i) > 1) for i, answer in enumerate(first + rest)],
            "unique_answer": summary(columns(unique), True),
        }
    )
)
