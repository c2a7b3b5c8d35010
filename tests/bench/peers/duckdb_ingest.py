"""Reads a file of JSON lines into a table of a DuckDB database file; prints what it took, as JSON.

Arguments: the file, the database file. CPU time is that of all threads, in user and kernel mode, of this process.
"""

import json
import os
import resource
import sys

import duckdb


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


source, database = sys.argv[1:]
before = cpu()
connection = duckdb.connect(database)
connection.execute("SET threads = 2")
connection.execute(
    "CREATE TABLE event AS SELECT * FROM read_json(?, format = 'newline_delimited')", [source]
)
connection.execute("CHECKPOINT")
took = cpu() - before
events, guids, ages = connection.execute(
    'SELECT count(*), count(DISTINCT guid), sum("process.age") FROM event'
).fetchone()
connection.close()
print(json.dumps({"cpu": took, "bytes": os.path.getsize(database), "events": events, "guids": guids, "ages": ages}))
