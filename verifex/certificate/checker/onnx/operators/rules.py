"""All operators that the checker reads; every other is refused by name."""

from __future__ import annotations

from ..operator_call import Operator
from . import (
    convolution,
    elementwise,
    identities,
    indexing,
    normalization,
    products,
    rectifiers,
    shapes,
    windows,
)

OPERATORS: dict[str, Operator] = {
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **identities.OPERATORS,
    **indexing.OPERATORS,
    **normalization.OPERATORS,
    **products.OPERATORS,
    **rectifiers.OPERATORS,
    **shapes.OPERATORS,
    **windows.OPERATORS,
}
