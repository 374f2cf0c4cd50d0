"""Operators that pick, join and cut."""

from __future__ import annotations

from itertools import accumulate, pairwise

from ...failures import MAX_SIZE, need
from ...graph.symbolic import SymbolicTensor, along, constants
from ..operator_call import OperatorCall


def concat(c: OperatorCall) -> SymbolicTensor:
    given = c.attr("axis")
    need(given is not None and len({len(t.shape) for t in c.inputs}) == 1, "a wrong Concat")
    (axis,) = c.axes([given])
    return along(axis, [(t, k) for t in c.inputs for k in range(t.shape[axis])])


def cut(c: OperatorCall) -> SymbolicTensor:
    t, starts, ends = c.x[0], c.ints("starts", 1), c.ints("ends", 2)
    need(starts is not None and ends is not None, "a Slice without starts or ends")
    axes, steps = c.ints("axes", 3, range(len(starts))), c.ints("steps", 4, [1] * len(starts))
    for k, a, b, s in zip(c.axes(axes), starts, ends, steps, strict=True):
        # Sound: where a step backwards starts before its axis or ends behind it, some readers cut
        # the ends down to the axis, and some take the greatest integer for the start of the axis.
        need(s > 0 or (s < 0 and -t.shape[k] <= a and b < t.shape[k]),
             "unsupported Slice backwards from or to beyond its axis")
        places = range(t.shape[k])[a:b:s]
        empty = constants(c.graph, (*t.shape[:k], 0, *t.shape[k + 1 :]), [])
        t = along(k, [(t, i) for i in places]) if places else empty
    return t


def split(c: OperatorCall) -> list[SymbolicTensor]:
    t, (axis,), n = c.x[0], c.axes([c.attr("axis", 0)]), c.outputs
    each, given = -(-t.shape[axis] // n), c.ints("split", 1)
    need(given is None or "num_outputs" not in c.attributes, "a Split with split and num_outputs")
    need(c.attr("num_outputs", n) == n, "a Split of other outputs")
    need(given or t.shape[axis] % n == 0 or (c.opset >= 18 and each * (n - 1) < t.shape[axis]),
         "a Split into unequal parts")
    ends = [0, *accumulate(given or [min(each, t.shape[axis] - k * each) for k in range(n)])]
    need(len(ends) == n + 1 and ends[-1] == t.shape[axis] and ends == sorted(ends), "a Split")
    return [along(axis, [(t, i) for i in range(a, b)]) for a, b in pairwise(ends)]


def gather(c: OperatorCall) -> SymbolicTensor:
    t, index, (axis,) = c.x[0], c.x[1], c.axes([c.attr("axis", 0)])
    size, places = t.shape[axis], index.ints()
    need(all(-size <= k < size for k in places), "an index is out of range")
    shape = (*t.shape[:axis], *index.shape, *t.shape[axis + 1 :])
    if not places:
        return constants(c.graph, shape, [])
    found = along(axis, [(t, k % size) for k in places])
    return found.shaped(shape)


def pad(c: OperatorCall) -> SymbolicTensor:
    t, pads, fill = c.x[0], c.ints("pads", 1), c.x[2].consts() if c.x[2] else [c.attr("value", 0)]
    axes = c.axes(c.x[3].ints() if c.x[3] else range(len(t.shape)))
    need(pads is not None and len(pads) == 2 * len(axes), "a wrong number of pads")
    need(c.attr("mode", "constant") == "constant" and fill == [0], "unsupported mode or value")
    for k, a, b in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        need(max(a, b) < MAX_SIZE and t.shape[k] + min(a, 0) + min(b, 0) >= 0, "a wrong pad")
        # Sound: what pads cut away is what they add to in no reader: see `within` of the ends.
        places = range(-a, t.shape[k] + b)
        t = along(k, [(t, i if i < t.shape[k] else -1) for i in places])
    return t
