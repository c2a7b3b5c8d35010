"""Checks bodies for Datadog's metrics intake with the models of Datadog's own client; prints a JSON list of faults.

usage: datadog_models.py v1|v2 FILE...

The client keeps what it cannot place (a field that is not in the model, a value of a wrong type) instead of refusing it,
so the result is walked for such remains.
"""

import importlib
import json
import sys

from datadog_api_client import Configuration
from datadog_api_client.model_utils import ModelNormal, UnparsedObject, validate_and_convert_types


def remains(value, path):
    """What the models could not place in value."""
    if isinstance(value, UnparsedObject):
        yield f"{path}: does not fit the model"
    elif isinstance(value, ModelNormal):
        if getattr(value, "_unparsed", False):
            yield f"{path}: does not fit {type(value).__name__}"
        for key, inner in value._data_store.items():
            if key not in value.openapi_types:
                yield f"{path}.{key}: {type(value).__name__} has no such field"
            yield from remains(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from remains(inner, f"{path}[{index}]")


version = sys.argv[1]
name = {"v1": "metrics_payload.MetricsPayload", "v2": "metric_payload.MetricPayload"}[version]
module, model = name.split(".")
payload = getattr(importlib.import_module(f"datadog_api_client.{version}.model.{module}"), model)
faults = []
for number, file in enumerate(sys.argv[2:]):
    with open(file, "rb") as body:
        try:
            document = json.load(body)
            value = validate_and_convert_types(document, (payload,), ["body"], True, True, Configuration())
            faults += [f"{number}: {fault}" for fault in remains(value, "body")]
        except Exception as error:  # whatever the client raises is its judgement
            faults.append(f"{number}: {type(error).__name__}: {error}")
json.dump(faults, sys.stdout)
