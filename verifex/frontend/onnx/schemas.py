"""What the ONNX standard allows of a node: its attributes, and the number and types of its inputs.

The descriptions are those that the onnx package registers; looking one up runs nothing of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import defs

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.structure import printable
from verifex.frontend.onnx.values import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Value,
    dtype_name,
)

TYPES: Mapping[int, str] = {
    FLOAT: "tensor(float)", DOUBLE: "tensor(double)", FLOAT16: "tensor(float16)",
    BFLOAT16: "tensor(bfloat16)", INT8: "tensor(int8)", INT16: "tensor(int16)",
    INT32: "tensor(int32)", INT64: "tensor(int64)", UINT8: "tensor(uint8)",
    UINT16: "tensor(uint16)", UINT32: "tensor(uint32)", UINT64: "tensor(uint64)",
    BOOL: "tensor(bool)",
}
"""The standard's words for element types."""

VARIADIC = defs.OpSchema.FormalParameterOption.Variadic
OPTIONAL = defs.OpSchema.FormalParameterOption.Optional


class Schemas:
    """The operators of the operator sets that one file imports (by domain)."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        self._versions = versions
        self._known: dict[tuple[str, str], Any] = {}

    def check(self, node: Any, domain: str, inputs: Sequence[Value | None]) -> None:
        """InputError, naming the operator, for a node that the standard does not allow."""
        schema = self._find(node.op_type, domain)
        _check_attributes(schema, node)
        if len(node.output) > schema.max_output:
            raise InputError(f"{node.op_type} with {len(node.output)} outputs",
                             expected=f"at most {schema.max_output}")
        _check_inputs(schema, inputs)

    def _find(self, op: str, domain: str) -> Any:
        key = domain, op
        if key not in self._known:
            version = self._versions.get(domain)
            if version is None:
                raise InputError(f"op '{op}' of domain '{domain}', which is not imported",
                                 expected="an operator set of that domain")
            try:
                found = defs.get_schema(op, version, domain)
            except defs.SchemaError:
                found = None
            if found is None or found.deprecated:
                raise UnsupportedError(f"op '{op}' in operator set {version}",
                                       expected="an operator of that set")
            self._known[key] = found
        return self._known[key]


def _check_attributes(schema: Any, node: Any) -> None:
    known = schema.attributes
    for a in node.attribute:
        if a.name not in known:
            raise UnsupportedError(
                f"attribute '{printable(a.name)}' of {schema.name}",
                expected=f"attributes of operator set {schema.since_version}")
        if int(known[a.name].type.value) != a.type:
            raise InputError(f"attribute '{a.name}' of {schema.name} has the wrong type",
                             expected=str(known[a.name].type.name).lower())
    missing = {k for k, v in known.items() if v.required} - {a.name for a in node.attribute}
    if missing:
        raise InputError(f"{schema.name} without {min(missing)}",
                         expected=f"attribute '{min(missing)}'")


def _check_inputs(schema: Any, inputs: Sequence[Value | None]) -> None:
    """Every input is there and of an element type that fits its place and the other inputs."""
    formal = list(schema.inputs)
    if formal and formal[-1].option == VARIADIC:
        # The last input of a variadic operator stands for any number of them.
        formal += [formal[-1]] * (len(inputs) - len(formal))
    if len(inputs) > len(formal):
        raise InputError(f"{schema.name} with {len(inputs)} inputs",
                         expected=f"at most {len(formal)}")
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    bound: dict[str, int] = {}
    for k, place in enumerate(formal):
        given = inputs[k] if k < len(inputs) else None
        if given is None:
            if place.option != OPTIONAL:
                raise InputError(f"input {k + 1} of {schema.name} is missing",
                                 expected=f"'{place.name}' there")
            continue
        name = place.type_str
        if TYPES[given.dtype] not in allowed.get(name, {name}):
            raise InputError(
                f"input {k + 1} of {schema.name} has type {dtype_name(given.dtype)}",
                expected=f"a type that operator set {schema.since_version} allows")
        # Inputs that share a letter in the standard (T, say) must be of one type.
        if place.is_homogeneous and bound.setdefault(name, given.dtype) != given.dtype:
            raise InputError(
                f"{schema.name} of {dtype_name(bound[name])} and {dtype_name(given.dtype)}",
                expected="one type")
