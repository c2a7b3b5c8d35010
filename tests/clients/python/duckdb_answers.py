"""Answers queries of Backtrace's JSON form with DuckDB, as an oracle for the host's own answers.

Reads a JSON document {"events": [...], "queries": [...]} from the file that is the only argument and prints a list with the
rows of each query, in the form of the host's HTTP API. Every attribute of the events has one type, except `mixed`, which is
kept as text and only grouped by and counted.
"""

import json
import sys

import duckdb

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
events = document["events"]

TYPES = {"text": "VARCHAR", "word": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "flag": "BOOLEAN", "timestamp": "BIGINT"}
connection = duckdb.connect()
connection.execute("SET threads = 1")
columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
connection.execute(f'CREATE TABLE ev ("_tx" BIGINT, "arrival" BIGINT, "mixed" VARCHAR, {columns})')


def mixed_text(value):
    """The text that equal values of different types share."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if float(value).is_integer() else repr(value)


connection.executemany(
    f"INSERT INTO ev VALUES ({', '.join('?' * (len(TYPES) + 3))})",
    [
        [i + 1, event["arrival"], mixed_text(event["attributes"].get("mixed"))]
        + [event["attributes"].get(name) for name in TYPES]
        for i, event in enumerate(events)
    ],
)

COMPARISONS = {"equal": "=", "at-least": ">=", "at-most": "<=", "greater-than": ">", "less-than": "<"}
NEGATIVE = {
    "not-equal": "equal",
    "not-contains": "contains",
    "inverse-regular-expression": "regular-expression",
    "is-not-set": "is-set",
}


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


class Translation:
    """One query in SQL."""

    def __init__(self, query, window=None):
        self.query, self.window = query, window
        self.virtual = {column["name"]: self.column(column) for column in query.get("virtual_columns", [])}

    @staticmethod
    def column(column):
        of = column[column["type"]]
        backing = '"' + of["backing_column"] + '"'
        if column["type"] == "truncate_timestamp":
            moment = f"make_timestamp({backing} * 1000000)"
            return f"CAST(epoch(date_trunc('{of['granularity']}', {moment})) AS BIGINT)"
        size, offset = of["size"], of.get("offset", 0)
        return f"(({backing} + {offset}) - ((({backing} + {offset}) % {size}) + {size}) % {size} - ({offset}))"

    def name(self, name):
        return self.virtual.get(name, f'"{name}"')

    def condition(self, name, condition):
        word, operand, *options = [*condition, None][:3] if len(condition) == 1 else condition
        positive = NEGATIVE.get(word, word)
        column = self.name(name)
        if positive == "is-set":
            sql = f"{column} IS NOT NULL"
        elif positive in COMPARISONS:
            sql = f"{column} {COMPARISONS[positive]} {literal(operand)}"
        else:
            folded = bool(options and options[0] and options[0].get("case_insensitive"))
            if positive == "contains":
                pair = (f"lower({column})", f"lower({literal(operand)})") if folded else (column, literal(operand))
                sql = f"contains({pair[0]}, {pair[1]})"
            else:
                sql = f"regexp_matches({column}, {literal(operand)}" + (", 'i')" if folded else ")")
        sql = f"coalesce({sql}, false)"
        return f"NOT {sql}" if word in NEGATIVE else sql

    def where(self):
        any_of = []
        for item in self.query.get("filter", []):
            all_of = [self.condition(name, c) for name, conditions in item.items() for c in conditions]
            any_of.append("(" + " AND ".join(all_of or ["true"]) + ")")
        sql = "(" + " OR ".join(any_of or ["true"]) + ")"
        if self.window:
            sql += f" AND arrival >= {self.window[0]} AND arrival < {self.window[1]}"
        return sql

    def keys(self):
        names = [self.name(name) for name in self.query.get("group", [])]
        return [f"coalesce(CAST({name} AS VARCHAR), '')" for name in names] if self.window else names

    def ordered_keys(self):
        """The keys by which rows are ordered: booleans before numbers before texts."""
        if self.window:
            return self.keys()
        keys = []
        for key in self.keys():
            if key == '"mixed"':
                number = "TRY_CAST(mixed AS DOUBLE)"
                kind = f"CASE WHEN mixed IN ('true', 'false') THEN 0 WHEN {number} IS NOT NULL THEN 1 ELSE 2 END"
                keys += [f"CASE WHEN mixed IS NOT NULL THEN {kind} END", f"coalesce({number}, 0)"]
            keys.append(key)
        return keys

    def folds(self):
        return [(name, fold) for name, folds in self.query.get("fold", {}).items() for fold in folds]

    def scalar(self, name, word):
        column = self.name(name)
        there = f"FILTER ({column} IS NOT NULL)"
        return {
            "count": f"count({column})",
            "unique": f"count(DISTINCT {column})",
            "min": f"min({column})",
            "max": f"max({column})",
            "mean": f"avg({column})",
            "sum": f"coalesce(sum({column}), 0)",
            "head": f"arg_min({column}, _tx) {there}",
            "tail": f"arg_max({column}, _tx) {there}",
            "first": f"arg_min({column}, _tx) {there}",
            "last": f"arg_max({column}, _tx) {there}",
            "object": f"max(_tx) {there}",
        }[word]

    def select(self, expressions, tail="", extra=""):
        return connection.execute(f"SELECT {', '.join(expressions)} FROM ev WHERE {self.where()}{extra} {tail}").fetchall()

    def frequent(self, key, name):
        """Values of a group with their counts, most frequent first, then by value."""
        column = self.name(name)
        extra = "".join(f" AND {k} IS NOT DISTINCT FROM {v}" for k, v in self.matching(key))
        return [
            list(row)
            for row in self.select(
                [column, "count(*) AS c"],
                f"GROUP BY {column} ORDER BY c DESC, {column}",
                f"{extra} AND {column} IS NOT NULL",
            )
        ]

    def matching(self, key):
        return [(k, "NULL" if v is None else literal(v)) for k, v in zip(self.keys(), key)]

    def cell(self, key, name, fold, found):
        word, arguments = fold[0], fold[1:]
        if word == "range":
            low, high = found
            return None if low is None else [low, high]
        if word == "histogram":
            return self.frequent(key, name)
        if word == "distribution":
            values = self.frequent(key, name)
            listed = values[: arguments[0] if arguments else 10]
            return {"keys": len(values), "tail": sum(n for _, n in values) - sum(n for _, n in listed), "values": listed}
        if word == "bin":
            count, start, stop = arguments
            step = (stop - start) // count
            column, extra = self.name(name), "".join(f" AND {k} IS NOT DISTINCT FROM {v}" for k, v in self.matching(key))
            numbers = [row[0] for row in self.select([column], "", f"{extra} AND {column} IS NOT NULL")]
            edges = [(start + step * i, start + step * (i + 1)) for i in range(count)]
            return [[a, b, sum(a <= v < b for v in numbers)] for a, b in edges] if numbers else []
        value = found[0]
        return format(value, "x") if word == "object" and value is not None else value

    def groups(self):
        keys, folds = self.keys(), self.folds()
        expressions, places = [*keys, "count(*)"], []
        for name, fold in folds:
            words = {"range": ["min", "max"], "histogram": [], "distribution": [], "bin": []}.get(fold[0], [fold[0]])
            places.append((len(expressions), len(words)))
            expressions += [self.scalar(name, word) for word in words]
        grouped = "GROUP BY " + ", ".join(str(i + 1) for i in range(len(keys))) if keys else ""
        terms = []
        for term in self.query.get("order", []):
            way = "DESC NULLS LAST" if term["ordering"] == "descending" else "ASC NULLS LAST"
            if term["name"] == ";count":
                terms.append(f"count(*) {way}")
            elif term["name"] == ";group":
                terms += [f"{key} {way}" for key in self.ordered_keys()]
            else:
                name, index = term["name"].rsplit(";", 1)
                terms.append(f"{self.scalar(name, self.query['fold'][name][int(index)][0])} {way}")
        terms += [f"{key} ASC NULLS LAST" for key in self.ordered_keys()]
        having = []
        for item in self.query.get("having", []):
            if item["op"] == "boolean":
                right, left = having.pop(), having.pop()
                having.append(f"({left} {item['params'][0]} {right})")
                continue
            figure = item["property"][0]
            if figure == ";count":
                sql = "count(*)"
            else:
                name, index, _ = figure.rsplit(";", 2)
                sql = self.scalar(name, self.query["fold"][name][int(index)][0])
            having.append(f"{sql} {item['op'].replace('==', '=')} {literal(item['params'][0])}")
        tail = grouped + (f" HAVING {' AND '.join(having)}" if having else "")
        tail += f" ORDER BY {', '.join(terms)}" if terms else ""
        rows = self.select(expressions, tail + self.page())
        answer = []
        for row in rows:
            key = list(row[: len(keys)])
            cells = [self.cell(key, name, fold, row[p : p + n]) for (name, fold), (p, n) in zip(folds, places)]
            answer.append({"group": key, "events": row[len(keys)], "values": cells})
        return answer

    def page(self):
        limit = f" LIMIT {self.query['limit']}" if "limit" in self.query else ""
        return limit + f" OFFSET {self.query.get('offset', 0)}"

    def listed(self):
        terms = []
        for term in self.query.get("order", []):
            way = "DESC NULLS LAST" if term["ordering"] == "descending" else "ASC NULLS LAST"
            terms.append(f"{self.name(term['name'])} {way}")
        terms.append("_tx ASC")
        names = [self.name(name) for name in self.query["select"]]
        rows = self.select(["_tx", *names], f"ORDER BY {', '.join(terms)}" + self.page())
        return [{"object": format(row[0], "x"), "values": list(row[1:])} for row in rows]


def answer(asked):
    translation = Translation(asked["query"], asked.get("window"))
    return translation.listed() if "select" in asked["query"] else translation.groups()


print(json.dumps([answer(asked) for asked in document["queries"]]))
