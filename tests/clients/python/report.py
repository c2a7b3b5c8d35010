"""Reports one error with backtracepython as an application would.

usage: report.py ENDPOINT TOKEN KIND     (TOKEN may be "-": the endpoint has it in its path)
KIND is handled, message, unhandled or attachment.
"""

import sys
import tempfile

import backtracepython as bt
from backtracepython.client import finalize

endpoint, token, kind = sys.argv[1:4]
bt.initialize(
    endpoint=endpoint,
    token=None if token == "-" else token,
    attributes={"application": "checkout", "application.version": "1.4.2", "client": "python", "kind": kind},
    debug_backtrace=True,
)

if kind == "handled":
    try:
        [][3]
    except IndexError:
        bt.send_last_exception(attributes={"big": 2**63, "ratio": 0.5, "nothing": None})
elif kind == "message":
    bt.send_report("the disk is nearly full", attributes={"free": 12})
elif kind == "attachment":
    with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
        log.write("last lines before the error\n")
        log.flush()
        report = bt.BacktraceReport()
        try:
            {}["missing"]
        except KeyError:
            report.capture_last_exception()
        report.add_attachment(log.name)
        report.send()
        # Reports are sent by a thread; the file must be there until it has read it.
        finalize()
elif kind == "unhandled":
    raise RuntimeError("nobody caught this")
else:
    sys.exit(f"unknown kind {kind}")
