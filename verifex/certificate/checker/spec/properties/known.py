"""The properties that a spec may use, by keyword.

A list, and no search of the folder: what the checker reads is what is written here.
"""

from __future__ import annotations

from . import (
    class_unchanged,
    component,
    distance,
    mass,
    monotone,
    order,
    output,
    sign,
    similarity,
    top_k,
)

KINDS = (
    monotone.KIND, class_unchanged.KIND, output.KIND, component.KIND, sign.KIND, order.KIND,
    distance.KIND, similarity.KIND, mass.KIND, top_k.KIND,
)
PROPERTIES = {kind.keyword: kind for kind in KINDS}
