"""DuckDB as the peer of the evaluator's bench: the same rows in a table in memory, texts as its own VARCHAR, two threads.

Prints one JSON object: CPU seconds of all threads, and a summary of each answer. Results are fetched as columns.
"""

import json

import duckdb

from rows import BLOCK, COLUMNS, QUERIES, START, TINY_COLUMNS, TINY_PROJECTS, codes, condition, kind, summary, timed, tiny_codes

connection = duckdb.connect()
connection.execute("SET threads = 2")
texts = ", ".join(f"printf('{name}-%06d', {name}) AS {name}" for name in COLUMNS)
connection.register("codes", codes())
connection.execute(f"CREATE TABLE ev AS SELECT second, age, {texts} FROM codes ORDER BY second")
texts = ", ".join(f"printf('{name}-%06d', {name}) AS {name}" for name in TINY_COLUMNS)
connection.register("tiny_codes", tiny_codes())
connection.execute(f"CREATE TABLE tiny AS SELECT project, {texts} FROM tiny_codes ORDER BY project")


def query(i):
    (name, equal, value), version, age = condition(i)
    where = f"FROM ev WHERE second >= {START} AND {name} {'=' if equal else '<>'} '{value}' AND app_version <> '{version}'"
    where += f" AND age >= {age}" if age else ""
    return (
        f"SELECT count(*) {where}",
        f"SELECT count(DISTINCT guid) {where}",
        f"SELECT fingerprint, count(DISTINCT guid) {where} GROUP BY 1",
        f"SELECT app_version, count(*), count(DISTINCT guid), max(age) {where} GROUP BY 1",
    )[kind(i)]


def tiny(project):
    where = f"FROM tiny WHERE project = {project}"
    return (
        f"SELECT count(*) {where}",
        f"SELECT count(DISTINCT guid) {where}",
        f"SELECT fingerprint, count(*), count(DISTINCT guid) {where} GROUP BY 1",
    )


def run(sql):
    return list(connection.execute(sql).fetchnumpy().values())


run(query(0))
first, block_cpu = timed(lambda: [run(query(i)) for i in range(BLOCK)])
rest, rest_cpu = timed(lambda: [run(query(i)) for i in range(BLOCK, QUERIES)])
unique, unique_cpu = timed(lambda: run("SELECT fingerprint, count(DISTINCT guid) FROM ev GROUP BY 1"))
small, tiny_cpu = timed(lambda: [run(sql) for project in range(TINY_PROJECTS) for sql in tiny(project)])

print(
    json.dumps(
        {
            "block": block_cpu,
            "all": block_cpu + rest_cpu,
            "unique": unique_cpu,
            "tiny": tiny_cpu,
            "answers": [summary(answer, kind(i) > 1) for i, answer in enumerate(first + rest)],
            "unique_answer": summary(unique, True),
            "tiny_answers": [summary(answer, i % 3 == 2) for i, answer in enumerate(small)],
        }
    )
)
