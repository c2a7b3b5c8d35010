"""Reads a page for Prometheus with a parser of prometheus-client and prints its samples as JSON: [[labels, value], ...].

usage: read_page.py text|openmetrics FILE
"""

import json
import sys

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

form, file = sys.argv[1:]
parse = {"text": text, "openmetrics": openmetrics}[form].text_string_to_metric_families
with open(file, encoding="utf-8", newline="") as page:
    families = list(parse(page.read()))
samples = [[{"__name__": s.name, **s.labels}, s.value] for family in families for s in family.samples]
json.dump(samples, sys.stdout)
