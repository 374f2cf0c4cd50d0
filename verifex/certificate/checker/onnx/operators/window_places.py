"""Which input places a window sees: for Conv, MaxPool and AveragePool.

ONNX: along each spatial axis a window of `kernel` places, `dilation` apart, starts at every
`stride`-th place of the padded axis, as long as it fits. `pads` gives the padding at the beginnings
and then at the ends; `auto_pad` chooses it; with ceil_mode a last window may end late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...failures import MAX_SIZE, need
from ..operator_call import OperatorCall

PADDING, BEYOND = -1, -2
"""Places that a window sees in the padding, and behind it."""

Windows = list[list[int]]
"""For each output place along an axis the input places that it sees, rising."""

SAME = ("SAME_UPPER", "SAME_LOWER")


class AxisWindow(NamedTuple):
    """The window along one axis of so many places."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """From the first to the last place of a window."""
        return (self.kernel - 1) * self.dilation + 1

    def check(self) -> None:
        positive = min(self.kernel, self.stride, self.dilation) > 0
        fits = max(self.kernel, self.dilation, self.before, self.after) < MAX_SIZE
        need(positive and min(self.before, self.after) >= 0 and fits, "a wrong window")

    def padded_as(self, auto_pad: str, is_conv: bool) -> AxisWindow:
        """With the padding that leaves ceil(size / stride) windows; an odd place of it comes last
        for SAME_UPPER, first for SAME_LOWER.

        Sound: some readers cut elements away instead where less than none is needed, and some
        forget dilations in pools. Both are refused.
        """
        count = -(-self.size // self.stride)
        whole = (count - 1) * self.stride + self.reach - self.size
        need(whole >= 0 and (self.dilation == 1 or is_conv), f"unsupported auto_pad {auto_pad}")
        less, more = whole // 2, -(-whole // 2)
        before, after = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
        return self._replace(before=before, after=after)

    def starts(self, late: bool, counts_padding: bool) -> range:
        """Where windows start; `late` (ceil_mode): one more, if it starts before the axis ends and
        the padded axis is not covered without it.

        Sound: readers differ on what a mean over a window that ends behind the padding is divided
        by, if padding counts: refused.
        """
        found = range(-self.before, self.size + self.after - self.reach + 1, self.stride)
        if late and found:
            last = found[-1]
            if last + self.stride < self.size and last + self.reach < self.size + self.after:
                need(not counts_padding, "unsupported ceil_mode with count_include_pad")
                found = range(-self.before, last + self.stride + 1, self.stride)
        need(0 < len(found) * self.kernel < MAX_SIZE, "a window that fits nowhere, or too many")
        need(not late or found[-1] < self.size, "a window in the padding alone")
        return found

    def place(self, position: int) -> int:
        """An input place, PADDING or BEYOND, from a position that counts from the axis's begin."""
        if 0 <= position < self.size:
            return position
        return PADDING if position < self.size + self.after else BEYOND

    def windows(self, late: bool, counts_padding: bool) -> Windows:
        return [[self.place(position)
                 for position in range(start, start + self.kernel * self.dilation, self.dilation)]
                for start in self.starts(late, counts_padding)]


def windows_of(
    call: OperatorCall, kernel: Sequence[int], is_conv: bool = False
) -> list[Windows]:
    """The windows along every spatial axis of the first input, from the attributes of the call.

    Sound: `auto_pad` beside pads or ceil_mode is refused, and so are, in pools, pads as long as the
    window, which would see nothing but padding: readers differ on all of these.
    """
    attributes, sides = call.attributes, call.tensor().shape[2:]
    rank = len(sides)
    auto_pad, late = attributes.text("auto_pad", "NOTSET"), attributes.flag("ceil_mode")
    strides = per_axis(attributes.integers("strides"), [1] * rank)
    dilations = per_axis(attributes.integers("dilations"), [1] * rank)
    pads = per_axis(attributes.integers("pads"), [0] * 2 * rank)
    counts_padding = attributes.flag("count_include_pad")
    chosen = auto_pad in ("VALID", *SAME) and not any(pads) and not late
    need(auto_pad == "NOTSET" or chosen, f"unsupported auto_pad {auto_pad!r:.20}")
    need(len(kernel) == rank, "a window of other axes")
    found = []
    for axis, size in enumerate(sides):
        window = AxisWindow(size, kernel[axis], strides[axis], dilations[axis],
                            pads[axis], pads[rank + axis])
        window.check()
        if auto_pad in SAME:
            window = window.padded_as(auto_pad, is_conv)
        need(is_conv or max(window.before, window.after) < window.kernel,
             "unsupported pads as long as the window")
        found.append(window.windows(late, counts_padding))
    return found


def per_axis(given: list[int] | None, default: list[int]) -> list[int]:
    """Numbers that are given for all axes, or not at all."""
    need(given is None or len(given) == len(default), "numbers for other axes")
    return default if given is None else given
