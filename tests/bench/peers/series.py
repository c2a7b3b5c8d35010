"""The series that shippers are compared on: those of the bench's batch, and how to run somebody else's program beside it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROWS = 100_000
ROUNDS = 5
A_REQUEST = 10_000
START = 1_700_000_000


def rows(start, count):
    """(fingerprint, version, system, value) of some rows; the same numbers as in the bench's own batch."""
    for row in range(start, start + count):
        yield (
            f"fingerprint-{row % 5_000:05}",
            f"app.version-{row // 5_000 % 20:05}",
            f"os-{row // 7 % 4:05}",
            row % 1_000,
        )


def requests():
    """(time of the round in seconds, first row) of each request, round by round."""
    for number in range(ROUNDS):
        for first in range(0, ROWS, A_REQUEST):
            yield START + 60 * number, first


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_of(process):
    """CPU seconds of another process, in user and kernel mode."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post(url, body, kind):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind}, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def wait(what, until, seconds=60):
    """Asks `until` again and again; ends the script with `what` if the answer stays no."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            sys.exit(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def need(program):
    """Where a program is; ends the script with what installs it."""
    return shutil.which(program) or sys.exit(f"{program} is not installed; `make setup` installs it")


@contextlib.contextmanager
def running(*command):
    """A program in an empty folder of its own; it is ended whatever happens."""
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "log"), "w+") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            process.terminate()
            process.wait(20)
