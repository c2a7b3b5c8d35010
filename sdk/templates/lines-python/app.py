"""Writes each window as lines of InfluxDB's line protocol: what the adapter says of itself."""

import json

# componentize-py takes the module of an interface with resources by its name; importing it here makes it part of the component.
import push  # noqa: F401
from wit_world import exports

DESCRIPTION = {
    "name": "lines-python",
    "version": "0.1.0",
    "vendor": "Acme",
    "summary": "Writes lines of the line protocol, from Python.",
    "documentation": "https://acme.example/tidegate",
    "settings": [
        {"key": "url", "label": "URL", "kind": "url", "required": True, "help": "Address of the server"},
        {"key": "database", "label": "Database", "kind": "text", "required": True, "help": "It has to exist"},
        {"key": "user", "label": "User", "kind": "text", "help": "If the server asks for one"},
        {"key": "password", "label": "Password", "kind": "secret", "help": "Of that user"},
    ],
    "endpoints": [{"kind": "http", "key": "url", "url": "{url}"}],
}


class About(exports.About):
    def describe(self) -> str:
        return json.dumps(DESCRIPTION)
