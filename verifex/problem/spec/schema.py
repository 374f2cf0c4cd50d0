"""The JSON schema of spec files, from the models: `python -m verifex.problem.spec.schema`."""

from __future__ import annotations

import json
from typing import Any

from verifex.problem.spec.model import Spec, properties

MARK = {"x-verifex": "property"}


def schema() -> dict[str, Any]:
    """The schema as JSON data; editors that know it complete and check spec files."""
    root = Spec.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = root.setdefault("$defs", {})
    choices = []
    for keyword, model in properties().items():
        part = model.model_json_schema(by_alias=True)
        definitions.update(part.pop("$defs", {}))
        definitions[model.__name__] = part
        part["required"] = sorted({*part.get("required", []), keyword})
        choices.append({"$ref": f"#/$defs/{model.__name__}"})
    definitions["Property"] = {"title": "Property", "oneOf": choices}
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    root["title"] = "verifex spec"
    root["required"] = sorted({*root.get("required", []), "verifex"})
    filled: dict[str, Any] = _fill(root)
    return filled


def _fill(value: Any) -> Any:
    """Every place that holds a property refers to the one definition."""
    if value == MARK or (isinstance(value, dict) and value.get("x-verifex") == "property"):
        return {"$ref": "#/$defs/Property"}
    if isinstance(value, dict):
        return {k: _fill(v) for k, v in value.items()}
    return [_fill(v) for v in value] if isinstance(value, list) else value


def text() -> str:
    """The schema as it is stored in specs/schema.json."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(text(), end="")
