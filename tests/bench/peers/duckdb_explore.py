"""DuckDB as the peer of Explore's bench: the same events, texts as its own VARCHAR, two threads; once in a table in memory, once in
a file that is opened anew for each question, so that nothing of it is in DuckDB's memory (opening it is not counted).

Prints one JSON object: for each question of `explore.rs`, by its name, CPU seconds of all threads for both and the rows of the answer.
"""

import json
import sys
import tempfile

import duckdb

sys.argv[3:] = ["60", "1", "1", "1", "1", *sys.argv[3:]]
from rows import COLUMNS, codes, timed  # noqa: E402: it reads the arguments

EPOCH = int(sys.argv[8])
SECONDS = int(sys.argv[1]) // int(sys.argv[2])

connection = duckdb.connect()
connection.execute("SET threads = 2")
texts = ", ".join(f"printf('{name}-%06d', {name}) AS {name}" for name in COLUMNS)
connection.register("codes", codes())
connection.execute(
    f"CREATE TABLE ev AS SELECT row_number() OVER () AS tx, (second + {EPOCH})::BIGINT AS time, age, {texts} FROM codes ORDER BY second"
)

QUESTIONS = {
    "count_of_everything": "SELECT count(*), count(guid) FROM ev",
    "top_fingerprints_by_users": (
        "SELECT fingerprint, count(*), count(DISTINCT guid) AS users FROM ev GROUP BY 1 ORDER BY users DESC, fingerprint LIMIT 10"
    ),
    "errors_and_users_by_minute": "SELECT time // 60 * 60 AS minute, count(*), count(DISTINCT guid) FROM ev GROUP BY 1 ORDER BY 1",
    "one_version_in_the_last_five_minutes": (
        "SELECT error_type, count(*) AS events, count(DISTINCT guid), max(age), avg(age) FROM ev "
        f"WHERE time >= {EPOCH + SECONDS - 300} AND app_version = 'app_version-000007' GROUP BY 1 ORDER BY events DESC, error_type"
    ),
    "part_of_a_text_and_frequent_versions": (
        "WITH few AS (SELECT project, app_version FROM ev WHERE contains(fingerprint, '-0012') AND age >= 5000), "
        "counted AS (SELECT project, app_version, count(*) AS n FROM few GROUP BY ALL), "
        "ranked AS (SELECT *, row_number() OVER (PARTITION BY project ORDER BY n DESC, app_version) AS place FROM counted) "
        "SELECT project, sum(n)::BIGINT, count(*), coalesce(sum(n) FILTER (place > 3), 0)::BIGINT, "
        "list([app_version, n::VARCHAR] ORDER BY place) FILTER (place <= 3) FROM ranked GROUP BY 1 ORDER BY 1"
    ),
    "newest_hundred_of_a_type": (
        "SELECT time, guid, age FROM ev WHERE error_type = 'error_type-000003' ORDER BY tx DESC LIMIT 100"
    ),
}


def told(name, row):
    """A row as `explore.rs` tells it."""
    if name != "part_of_a_text_and_frequent_versions":
        return list(row)
    project, events, keys, tail, listed = row
    return [project, events, [keys, tail, [[version, int(n)] for version, n in listed]]]


def from_file(path, sql):
    """CPU seconds and rows of a question to a file that was just opened."""
    with duckdb.connect(path, read_only=True) as file:
        file.execute("SET threads = 2")
        return timed(lambda: file.execute(sql).fetchall())


with tempfile.TemporaryDirectory() as scratch:
    path = f"{scratch}/events.duckdb"
    connection.execute(f"ATTACH '{path}' AS file")
    connection.execute("CREATE TABLE file.ev AS FROM ev")
    connection.execute("DETACH file")
    answers = {}
    for name, sql in QUESTIONS.items():
        rows, in_memory = timed(lambda sql=sql: connection.execute(sql).fetchall())
        again, on_disk = from_file(path, sql)
        assert rows == again, f"{name}: the file answers otherwise"
        answers[name] = {"cpu": in_memory, "cpu_of_file": on_disk, "rows": [told(name, row) for row in rows]}
    print(json.dumps(answers))
