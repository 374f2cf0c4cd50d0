"""One ONNX node as an operator's rule sees it: inputs, attributes, and which were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.lowering import Lowering, floats_of, whole_numbers
from verifex.frontend.onnx.values import (
    BFLOAT16,
    DOUBLE,
    FLOAT,
    FLOAT16,
    FLOATS,
    INTEGER_RANGES,
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
    dtype_name,
)
from verifex.ir.exact import Values
from verifex.ir.linmap import Shape

Result: TypeAlias = int | Value | Sequence[Value | None]
"""What a lowering returns: a float node, a value, or one value for each output (None for one that
is not computed)."""


@dataclass(frozen=True)
class Rule:
    """How an ONNX op is lowered and how many inputs that reads (`most` None: any number).

    What the standard allows at an operator set is checked before: see schemas.py.
    """

    run: Callable[[Call], Result]
    least: int = 1
    most: int | None = 1


@dataclass
class Call:
    """An ONNX node whose inputs are lowered; reading an attribute marks it as understood.

    Accessors raise InputError or UnsupportedError, naming the input or attribute, where what is
    there is of another kind than asked for.
    """

    low: Lowering
    op: str
    opset: int
    inputs: Sequence[Value | None]
    attributes: Mapping[str, Any]
    n_outputs: int
    decode: Callable[[Any], Value]
    read: set[str] = field(default_factory=set)

    # --- inputs -----------------------------------------------------------------------------

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise InputError(
                f"input {index + 1} of {self.op} is missing", expected="an input there"
            )
        return found

    def node(self, index: int) -> int:
        """Input `index` as a float node of the graph."""
        return self.as_node(self.value(index), f"input {index + 1} of {self.op}")

    def as_node(self, value: Value, what: str = "an input") -> int:
        """A value as a float node of the graph."""
        if isinstance(value, Tensor) and value.dtype not in FLOATS:
            raise UnsupportedError(f"{what} has type {dtype_name(value.dtype)}: {self.op} of whole "
                                   "numbers that are inputs", expected="a Cast to floats before it")
        if isinstance(value, Tensor):
            return value.node
        if isinstance(value, Constant):
            return self.low.const(value.value)
        raise InputError(f"{what} has type {dtype_name(value.dtype)}", expected="floats")

    def number(self, index: int) -> int:
        """Input `index` as a float node; whole numbers become float32 of the same value, as
        operators of ai.onnx.ml take them."""
        value = self.value(index)
        return self.as_node(whole_as_float(self.low, value, FLOAT) if isinstance(value, Tensor)
                            and value.dtype in INTEGER_RANGES else value)

    def const(self, index: int) -> Values:
        """Input `index` as constant floats."""
        v = self.value(index)
        if isinstance(v, Tensor):
            raise UnsupportedError(
                f"input {index + 1} of {self.op} depends on the network's input",
                expected="a constant",
            )
        return floats_of(v)

    def ints(self, index: int) -> list[int]:
        """Input `index` as a flat list of constant integers."""
        try:
            return whole_numbers(self.value(index))
        except InputError as error:
            raise InputError(
                f"input {index + 1} of {self.op}: {error.what}", expected=error.expected
            ) from None

    def shape(self, index: int) -> Shape:
        return self.value(index).shape

    @property
    def dtype(self) -> int:
        """The element type of the first float input (what a float result has)."""
        return next((v.dtype for v in self.inputs if v is not None and v.dtype in FLOATS), 1)

    @property
    def all_whole(self) -> bool:
        """Whether every input is integer or boolean and known at import."""
        return all(isinstance(v, Whole) for v in self.inputs if v is not None)

    def whole(self, index: int) -> Any:
        """Input `index` as an array of Python integers (so that nothing wraps around)."""
        v = self.value(index)
        if not isinstance(v, Whole):
            raise InputError(
                f"input {index + 1} of {self.op} mixes floats with integers", expected="one type"
            )
        return v.array.astype(object)

    def integers(self, array: Any) -> Whole:
        """An integer result of the first input's type; InputError where it does not fit."""
        dtype = self.value(0).dtype
        if len({v.dtype for v in self.inputs if v is not None}) > 1:
            raise InputError(f"the inputs of {self.op} have different types", expected="one type")
        array = np.asarray(array, dtype=object)
        self.low.limits.shape(array.shape)
        low, high = INTEGER_RANGES.get(dtype, (0, 0))
        if any(not low <= n <= high for n in array.ravel()):
            raise InputError(f"an integer overflows {dtype_name(dtype)}", expected="smaller ones")
        return Whole(array.astype(np.int64), dtype, True)

    @property
    def computed(self) -> bool:
        """Whether an input holds integers, or booleans, that arithmetic on integers made."""
        return any(isinstance(v, Whole) and v.computed for v in self.inputs)

    def condition(self, index: int) -> Truth | Whole:
        """Input `index` as booleans."""
        v = self.value(index)
        if isinstance(v, Truth) or (isinstance(v, Whole) and v.array.dtype == np.bool_):
            return v
        raise InputError(f"input {index + 1} of {self.op} has type {dtype_name(v.dtype)}",
                         expected="bool")

    # --- attributes -------------------------------------------------------------------------

    def _attribute(self, name: str, kind: int, wanted: str) -> Any:
        self.read.add(name)
        found = self.attributes.get(name)
        if found is not None and found.type != kind:
            raise InputError(f"attribute '{name}' of {self.op} has the wrong type", expected=wanted)
        return found

    def given(self, name: str) -> bool:
        return name in self.attributes

    def int_(self, name: str, default: int) -> int:
        found = self._attribute(name, 2, "an integer")
        return default if found is None else int(found.i)

    def float_(self, name: str, default: float) -> Fraction:
        """A float attribute at the exact value of its float32."""
        found = self._attribute(name, 1, "a float")
        # Attributes are float32 in the file; a default is one as well, so 0.01 is not 1/100.
        value = float(np.float32(default)) if found is None else float(found.f)
        if not np.isfinite(value):
            raise InputError(f"attribute '{name}' of {self.op} is {value}", expected="a number")
        return Fraction(value)

    def any_float(self, name: str, default: float) -> float:
        """A float attribute that may be a NaN or an infinity."""
        found = self._attribute(name, 1, "a float")
        return default if found is None else float(found.f)

    def str_(self, name: str, default: str) -> str:
        found = self._attribute(name, 3, "a string")
        return default if found is None else bytes(found.s).decode("utf-8", "replace")

    def tensor_(self, name: str) -> Value | None:
        found = self._attribute(name, 4, "a tensor")
        return None if found is None else self.decode(found.t)

    def floats_(self, name: str) -> list[float] | None:
        found = self._attribute(name, 6, "floats")
        return None if found is None else [float(v) for v in found.floats]

    def ints_(self, name: str) -> list[int] | None:
        found = self._attribute(name, 7, "integers")
        return None if found is None else [int(v) for v in found.ints]

    def strs_(self, name: str) -> list[str] | None:
        found = self._attribute(name, 8, "strings")
        if found is None:
            return None
        return [bytes(v).decode("utf-8", "replace") for v in found.strings]

    def flag(self, name: str, default: bool) -> bool:
        value = self.int_(name, int(default))
        if value not in (0, 1):
            raise InputError(f"attribute '{name}' of {self.op} is {value}", expected="0 or 1")
        return value == 1

    def ignored(self, *names: str) -> None:
        """Attributes on which no number of the result depends."""
        self.read.update(names)

    def unread(self) -> list[str]:
        return [name for name in self.attributes if name not in self.read]


def whole_as_float(low: Lowering, value: Tensor, to: int) -> Tensor:
    """Whole numbers as floats of the same value: of a size that the type holds.

    Sound: those that are computed come from a LabelEncoder, whose values are float32.
    """
    most = {FLOAT: 1 << 24, DOUBLE: 1 << 53, FLOAT16: 1 << 11, BFLOAT16: 1 << 8}[to]
    low.hold_whole(value.node, -most, most, computed=to in (FLOAT, DOUBLE))
    return Tensor(value.node, value.shape, to)


def normal_axis(axis: int, rank: int, *, end: bool = False) -> int:
    """An axis counted from the front; `end` allows the position after the last axis."""
    top = rank if end else rank - 1
    found = axis + rank if axis < 0 else axis
    if not 0 <= found <= top:
        raise InputError(f"axis {axis}", expected=f"{-rank}..{top}")
    return found


def normal_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Distinct axes counted from the front."""
    found = [normal_axis(a, rank) for a in axes]
    if len(set(found)) != len(found):
        raise InputError(f"axes {list(axes)} repeat one", expected="distinct axes")
    return found
