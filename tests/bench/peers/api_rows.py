"""The rows of the console's pages out of the same database, by the shortest program that there is: one SELECT, JSON, Python's own
HTTP server. It knows nothing of rights, of secrets or of how a store is doing."""

import http.server
import json
import sqlite3
import sys
from pathlib import Path

FILE = sys.argv[1]
STORES = "SELECT s.*, p.name AS of FROM stores s JOIN projects p ON p.id = s.project WHERE s.deleted IS NULL"
RECENT = "SELECT window_end, state, accepted_rows FROM deliveries WHERE store = ? ORDER BY id DESC LIMIT 30"
PAGES = {
    "projects": ("SELECT * FROM projects ORDER BY name", None),
    "project": ("SELECT s.name FROM stores s JOIN projects p ON p.id = s.project WHERE p.name = 'p0'", None),
    "metric_sets": ("SELECT s.*, m.name AS metric, m.query FROM metric_sets s JOIN metrics m ON m.metric_set = s.id JOIN projects p ON p.id = s.project WHERE p.name = 'p0'", None),
    "stores": (STORES + " AND p.name = 'p0' ORDER BY s.name LIMIT 50", RECENT),
    "all_stores": (STORES + " ORDER BY p.name, s.name LIMIT 50", RECENT),
    "store": (STORES + " AND p.name = 'p0' AND s.name = 'to-0'", RECENT),
    "windows": ("SELECT d.*, w.state AS recorded FROM deliveries d JOIN windows w ON w.id = d.window JOIN stores s ON s.id = d.store WHERE s.name = 'to-0' ORDER BY w.start DESC LIMIT 200", None),
    "adapters": ("SELECT adapter, count(*) AS stores FROM stores GROUP BY adapter", None),
    "users": ("SELECT u.id, u.name, u.operator, u.created, r.role FROM users u LEFT JOIN roles r ON r.user = u.id", None),
    "tokens": ("SELECT id, name, hint, created FROM api_tokens", None),
    "audit": ("SELECT * FROM audit ORDER BY id DESC LIMIT 200", None),
}
SCRIPT = Path(__file__).read_bytes()


def plain(value):
    return value.hex() if isinstance(value, bytes) else value


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.strip("/")
        if name == "file":
            body = SCRIPT
        else:
            sql, beside = PAGES[name]
            rows = [{key: plain(row[key]) for key in row.keys()} for row in DB.execute(sql)]
            for row in rows if beside else []:
                row["recent"] = [dict(one) for one in DB.execute(beside, (row["id"],))]
            body = json.dumps({"rows": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


DB = sqlite3.connect(f"file:{FILE}?mode=ro", uri=True)
DB.row_factory = sqlite3.Row
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(f"127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
