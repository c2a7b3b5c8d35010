"""Has vmagent take the series as Influx lines and send them on to VictoriaMetrics; prints points and its CPU seconds, as JSON.

What has arrived is counted at the receiver. CPU time is vmagent's alone: it parses the lines, queues them, writes them as remote
write and sends them.
"""

import json
import re
import urllib.request

from series import A_REQUEST, ROUNDS, ROWS, answers, cpu_of, free_port, need, post, requests, rows, running, wait

COUNTED = re.compile(r'^vm_rows_inserted_total\{type="promremotewrite"\} (\S+)', re.MULTILINE)


def lines(seconds, first):
    text = (
        f"errors,fingerprint={fingerprint},app.version={version},os={system} count={value} {seconds}000000000\n"
        for fingerprint, version, system, value in rows(first, A_REQUEST)
    )
    return "".join(text).encode()


sink, agent = free_port(), free_port()
at = "127.0.0.1"
with running(
    need("victoria-metrics"), "-storageDataPath=data", f"-httpListenAddr={at}:{sink}", "-retentionPeriod=100y"
), running(
    need("vmagent"),
    f"-remoteWrite.url=http://{at}:{sink}/api/v1/write",
    "-remoteWrite.tmpDataPath=queue",
    f"-httpListenAddr={at}:{agent}",
) as shipper:
    wait("VictoriaMetrics", lambda: answers(sink))
    wait("vmagent", lambda: answers(agent))

    def arrived():
        with urllib.request.urlopen(f"http://{at}:{sink}/metrics", timeout=10) as page:
            found = COUNTED.search(page.read().decode())
        return float(found[1]) if found else 0

    bodies = [lines(*request) for request in requests()]
    before = cpu_of(shipper)
    for body in bodies:
        post(f"http://{at}:{agent}/write", body, "text/plain")
    wait("all points at the receiver", lambda: arrived() >= ROWS * ROUNDS)
    print(json.dumps({"points": arrived(), "cpu": cpu_of(shipper) - before}))
