"""The delivery: componentize-py looks for the resources of an interface in a module of the interface's name."""

import math
import re

from wit_world import exports
from wit_world.exports.push import Action_Done, Action_Send
from wit_world.imports import model


def clean(text: str) -> str:
    """A line break has no escape, and a backslash before a separator would swallow it."""
    text = re.sub(r"\\(?=[,= \x00-\x1f\x7f-\x9f]|\Z)", r"\\_", text).replace("\n", "\\n")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def key(text: str) -> str:
    return re.sub(r"([,= ])", r"\\\1", clean(text))


def measurement(text: str) -> str:
    return re.sub(r"([, ])", r"\\\1", clean(text))


class Tags(dict):
    """A dictionary comes as one piece of UTF-8 and the ends of its entries. It is that of the whole window, so a part of it uses few
    of them: each is made when a row wants it. An empty entry means that there is no value."""

    def __init__(self, name: str, strings: model.Strings) -> None:
        self.name, self.utf8, self.ends = key(name), strings.utf8, strings.ends

    def __missing__(self, code: int) -> str:
        entry = self.utf8[self.ends[code - 1] if code else 0 : self.ends[code]].decode()
        self[code] = f",{self.name}={key(entry)}" if entry else ""
        return self[code]


def lines(batch: model.Batch) -> str:
    common = f",metric_set={key(batch.metric_set())},project={key(batch.project())}"
    stamp = batch.window_end()
    text = []
    for metric in batch.metrics():
        # Whatever repeats is made once for each entry of a dictionary, and not once for each row.
        head = measurement(metric.name()) + common
        labels = [(Tags(name, metric.dictionary(at)), metric.codes(at)) for at, name in enumerate(metric.dimensions())]
        measures = [(key(f"{m.aggregate()}_{m.attribute()}"), m.values()) for m in metric.measures()]
        for row in range(metric.live_rows()):
            # NaN means that there is no value.
            fields = [f"{field}={values[row]!r}" for field, values in measures if not math.isnan(values[row])]
            if fields:
                of = "".join(pieces[codes[row]] for pieces, codes in labels)
                text.append(f"{head}{of} {','.join(fields)} {stamp}\n")
    return "".join(text)


# More are not held in memory at once: the host sends halves.
MOST_ROWS = 20_000


class Delivery(exports.push.Delivery):
    def __init__(self, settings: model.Settings) -> None:
        self.database = settings.text("database")
        self.authenticates = settings.is_set("user") and settings.is_set("password")

    def begin(self, data: model.Batch):
        verdict = model.Verdict()
        if data.check():
            return Action_Done(verdict)
        rows = sum(metric.live_rows() for metric in data.metrics())
        if rows > MOST_ROWS:
            verdict.split(f"{rows} rows, and one delivery takes {MOST_ROWS}")
            return Action_Done(verdict)
        text = lines(data)
        if not text:
            return Action_Done(verdict)
        request = model.Request("url", "POST")
        request.path("/write")
        request.query("db", self.database)
        request.query("precision", "s")
        if self.authenticates:
            request.basic_auth("user", "password")
        request.write(text.encode())
        return Action_Send(request)

    def step(self, what: model.Outcome):
        verdict, status = model.Verdict(), what.status()
        asked = what.header("retry-after") or ""
        after = int(asked) if asked.isascii() and asked.isdigit() else None
        if status is None:
            verdict.retry(what.failure() or "no answer", None)
        elif status in (401, 403):
            verdict.stop(f"HTTP {status}")
        elif status == 413:
            verdict.split(f"HTTP {status}")
        elif status in (408, 429) or status >= 500:
            verdict.retry(f"HTTP {status}", after)
        elif 300 <= status < 400:
            verdict.stop(f"HTTP {status}, a redirect")
        elif status >= 400:
            verdict.reject(f"HTTP {status}")
        return Action_Done(verdict)
