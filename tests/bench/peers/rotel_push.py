"""Has rotel take the series by OTLP and send them on by OTLP; prints points and its CPU seconds, as JSON.

What has arrived is counted at a receiver that keeps the requests and parses them when all is over. CPU time is rotel's alone: it
parses, batches, encodes and sends.
"""

import glob
import gzip
import http.server
import json
import os
import sysconfig
import threading

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from series import A_REQUEST, ROUNDS, ROWS, answers, cpu_of, free_port, post, requests, rows, running, wait

arrived = []


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raise ValueError("a body in chunks")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        arrived.append((self.headers.get("Content-Encoding"), body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def otlp(seconds, first):
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="errors")
    for fingerprint, version, system, value in rows(first, A_REQUEST):
        point = metric.gauge.data_points.add(time_unix_nano=seconds * 10**9, as_double=value)
        for key, text in (("fingerprint", fingerprint), ("app.version", version), ("os", system)):
            point.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


def points(coding, body):
    request = ExportMetricsServiceRequest.FromString(gzip.decompress(body) if coding == "gzip" else body)
    return sum(
        len(metric.gauge.data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


program = glob.glob(os.path.join(sysconfig.get_path("purelib"), "rotel", "rotel-agent"))
if not program:
    raise SystemExit("rotel is not installed; `make setup` installs it")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
inlet = free_port()
with running(
    program[0], "start",
    "--otlp-http-endpoint", f"127.0.0.1:{inlet}",
    "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}",
    "--exporter", "otlp",
    "--otlp-exporter-protocol", "http",
    "--otlp-exporter-compression", "none",
    "--otlp-exporter-endpoint", f"http://127.0.0.1:{server.server_port}",
) as shipper:
    wait("rotel", lambda: answers(inlet))
    bodies = [otlp(*request) for request in requests()]
    before = cpu_of(shipper)
    for body in bodies:
        post(f"http://127.0.0.1:{inlet}/v1/metrics", body, "application/x-protobuf")
    counted = {}

    def all_there():
        for place, request in enumerate(list(arrived)):
            if place not in counted:
                counted[place] = points(*request)
        return sum(counted.values()) >= ROWS * ROUNDS

    wait("all points at the receiver", all_there)
    print(json.dumps({"points": sum(counted.values()), "cpu": cpu_of(shipper) - before}))
