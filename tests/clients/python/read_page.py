"""Reads a page for Prometheus with the parser of prometheus-client and prints its samples as JSON: [[labels, value], ...].

usage: read_page.py FILE
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8", newline="") as page:
    families = list(text_string_to_metric_families(page.read()))
samples = [[{"__name__": s.name, **s.labels}, s.value] for family in families for s in family.samples]
json.dump(samples, sys.stdout)
