"""Reads InfluxDB lines with line-protocol-parser and prints a JSON list of what it says of lines that it cannot read.

usage: read_lines.py FILE
"""

import json
import sys

from line_protocol_parser import LineFormatError, parse_line

faults = []
with open(sys.argv[1], "rb") as lines:
    for number, line in enumerate(lines.read().split(b"\n")[:-1]):
        try:
            parse_line(line.decode("utf-8"))
        except (LineFormatError, UnicodeDecodeError) as error:
            faults.append(f"line {number}: {error}: {line!r}")
json.dump(faults, sys.stdout)
