"""Conv and ConvTranspose: sums of products of the weights with what a window sees.

ONNX: output[b, m, places] = bias[m] + sum over the channels k of m's group and the taps q of the
window of input[b, k, place seen by tap q] * weight[m, k, q]. Channels are divided into `group`
groups of equal size, and so are the outputs; padding counts as 0. With constant weights this is a
linear form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...failures import MAX_SIZE, MAX_TERMS, need
from ...graph.elements import Elements, NodeElements, NumberElements, affine
from ...graph.forms import ZERO, Form, total
from ...graph.sparse_rows import PackedRow, packed_row
from ...graph.symbolic import SymbolicTensor, need_size
from ..operator_call import Operator, OperatorCall
from ..signatures import FLOAT_INPUT, INTEGER, INTEGER_LIST, TEXT, AttributeSlot, Signature
from .window_places import Windows, per_axis, windows_of


class Tap(NamedTuple):
    """A place of a channel of the input, and the place of its weight in a channel of the kernel."""

    seen: int
    weight: int


class Layer(NamedTuple):
    """What a convolution reads: sizes, and for every output place of a channel its taps."""

    batch: int
    channels: int
    outputs: int
    depth: int
    channel_size: int
    kernel_size: int
    outputs_a_group: int
    taps: list[list[Tap]]

    def outputs_with_channels(self) -> Iterator[tuple[int, int]]:
        """For every batch and output channel: the output channel, and the first of the input
        channels that it reads, counted over the batch."""
        for batch in range(self.batch):
            for output in range(self.outputs):
                group = output // self.outputs_a_group
                yield output, batch * self.channels + group * self.depth


def taps_of(axes: list[Windows], sides: tuple[int, ...], kernel: tuple[int, ...]
            ) -> list[list[Tap]]:
    """The taps of every output place in C order: those that see no padding, in C order."""
    found = [[Tap(0, 0)]]
    for axis, windows in enumerate(axes):
        input_stride = math.prod(sides[axis + 1 :])
        kernel_stride = math.prod(kernel[axis + 1 :])
        further = []
        for taps in found:
            for window in windows:
                inside = [(place * input_stride, number * kernel_stride)
                          for number, place in enumerate(window) if place >= 0]
                further.append([Tap(tap.seen + seen, tap.weight + weight)
                                for tap in taps for seen, weight in inside])
        found = further
    return found


def conv(call: OperatorCall) -> SymbolicTensor:
    """The convolution by constant weights; computed ones are refused."""
    tensor, weight, bias = call.tensor(0).solid(), call.tensor(1), call.optional(2)
    need(len(tensor.shape) == len(weight.shape) >= 2, "a Conv of other axes")
    batch, channels, *sides = tensor.shape
    outputs, depth, *kernel = weight.shape
    groups, attributes = call.attributes.integer("group", 1), call.attributes
    given = attributes.integers("kernel_shape")
    need((given is None or given == kernel) and channels == depth * groups, "a Conv's shapes")
    axes = windows_of(call, kernel, is_conv=True)
    need(weight.fixed and outputs // groups * groups == outputs, "an unsupported Conv")
    need(bias is None or bias.shape == (outputs,), "a wrong bias")
    shape = (batch, outputs, *map(len, axes))
    need(math.prod(shape) * depth * math.prod(kernel) <= MAX_TERMS, "an unsupported Conv")
    need_size(shape)
    layer = Layer(batch, channels, outputs, depth, math.prod(sides), math.prod(kernel),
                  outputs // groups, taps_of(axes, tuple(sides), tuple(kernel)))
    found = SymbolicTensor(call.graph, shape, convolved(tensor, weight, layer))
    return found if bias is None else found + bias.shaped((outputs, *[1] * len(kernel)))


def convolved(tensor: SymbolicTensor, weight: SymbolicTensor, layer: Layer
              ) -> list[Form] | Elements:
    """The elements of a convolution, by the way that suits the tensors."""
    if isinstance(tensor.elements, NodeElements) and isinstance(weight.elements, NumberElements):
        return packed_convolution(tensor.elements, weight.elements, layer)
    return plain_convolution(tensor, weight, layer)


def plain_convolution(
    tensor: SymbolicTensor, weight: SymbolicTensor, layer: Layer
) -> list[Form]:
    """The elements of a convolution: sums of form * weight."""
    numbers, forms = weight.constants(), list[Form]()
    for output, first in layer.outputs_with_channels():
        for taps in layer.taps:
            terms = []
            for channel in range(layer.depth):
                seen = (first + channel) * layer.channel_size
                place = (output * layer.depth + channel) * layer.kernel_size
                terms += [(tensor.items[seen + tap.seen], numbers[place + tap.weight])
                          for tap in taps]
            forms.append(total(terms))
    return forms


def packed_convolution(
    tensor: NodeElements, weight: NumberElements, layer: Layer
) -> Elements:
    """`plain_convolution` for the elements of a node, a row of weights an output element."""
    rows, seen_from = list[PackedRow](), dict[int, list[tuple[int, ...]]]()
    for output, first in layer.outputs_with_channels():
        if first not in seen_from:
            seen_from[first] = [seen_places(first, taps, layer) for taps in layer.taps]
        kernels = dict[tuple[int, ...], tuple[int, ...]]()  # most windows see the whole kernel
        for places, taps in zip(seen_from[first], layer.taps, strict=True):
            used = tuple([tap.weight for tap in taps])
            if used not in kernels:
                kernels[used] = weights_of(output, used, weight.numerators, layer)
            rows.append(packed_row(places, kernels[used], tensor.size))
    return affine(tensor.source, tensor.size, rows, weight.denominator, [ZERO] * len(rows))


def seen_places(first: int, taps: list[Tap], layer: Layer) -> tuple[int, ...]:
    """The places that a window sees, rising, in all channels from the first on that it reads."""
    return tuple([(first + channel) * layer.channel_size + tap.seen
                  for channel in range(layer.depth) for tap in taps])


def weights_of(
    output: int, used: tuple[int, ...], numerators: list[int], layer: Layer
) -> tuple[int, ...]:
    """The weights of an output channel at some places of the kernel, in all its channels."""
    return tuple([numerators[(output * layer.depth + channel) * layer.kernel_size + place]
                  for channel in range(layer.depth) for place in used])


def conv_transpose(call: OperatorCall) -> SymbolicTensor:
    """The adjoint of a convolution by constant weights.

    ONNX: input place i reaches, by tap q of the window, output place i * stride + q * dilation -
    padding; an output is the sum of all products that reach it. Sound: outputs that are chosen by
    `output_shape` or by auto_pad are padded in different ways by readers: refused.
    """
    tensor, weight, bias = call.tensor(0).solid(), call.tensor(1), call.optional(2)
    need(len(tensor.shape) == len(weight.shape) > 2, "a ConvTranspose of other axes")
    batch, channels, *sides = tensor.shape
    inputs, outputs_a_group, *kernel = weight.shape
    attributes, groups = call.attributes, call.attributes.integer("group", 1)
    given = attributes.integers("kernel_shape")
    need((given is None or given == kernel) and inputs == channels and groups > 0
         and channels % groups == 0, "a ConvTranspose's shapes")
    need(attributes.text("auto_pad", "NOTSET") in ("NOTSET", "VALID")
         and attributes.integers("output_shape") is None, "unsupported output_shape or auto_pad")
    need(weight.fixed, "unsupported computed weights")
    outputs = outputs_a_group * groups
    need(bias is None or bias.shape == (outputs,), "a wrong bias")
    hits = [reached(*one) for one in transposed_axes(call, sides, kernel)]
    shape = (batch, outputs, *map(len, hits))
    need(math.prod(shape) * channels * math.prod(kernel) <= MAX_TERMS, "a tensor is too big")
    layer = Layer(batch, channels, outputs, channels // groups, math.prod(sides),
                  math.prod(kernel), outputs_a_group, hit_taps(hits, sides, kernel))
    found = SymbolicTensor(call.graph, shape, transposed_products(tensor, weight, layer))
    return found if bias is None else found + bias.shaped((outputs, *[1] * len(kernel)))


class TransposedAxis(NamedTuple):
    """How a kernel spreads along one axis of so many places, into so many."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    outputs: int


def transposed_axes(
    call: OperatorCall, sides: Sequence[int], kernel: Sequence[int]
) -> list[TransposedAxis]:
    """The spatial axes, from the attributes.

    Sound: padding at the end that is not less than a stride adds outputs that nothing reaches,
    which some readers refuse: refused. So is `VALID` beside pads.
    """
    attributes, rank = call.attributes, len(sides)
    strides = per_axis(attributes.integers("strides"), [1] * rank)
    dilations = per_axis(attributes.integers("dilations"), [1] * rank)
    pads = per_axis(attributes.integers("pads"), [0] * 2 * rank)
    extra = per_axis(attributes.integers("output_padding"), [0] * rank)
    need(attributes.text("auto_pad", "NOTSET") == "NOTSET" or not any(pads), "pads and auto_pad")
    found = []
    for axis, size in enumerate(sides):
        stride, dilation, before = strides[axis], dilations[axis], pads[axis]
        need(min(stride, dilation, kernel[axis]) > 0 and max(stride, dilation) < MAX_SIZE
             and min(before, pads[rank + axis]) >= 0 and 0 <= extra[axis] < stride,
             "a wrong window")
        whole = stride * (size - 1) + extra[axis] + (kernel[axis] - 1) * dilation + 1
        count = whole - before - pads[rank + axis]
        need(0 < count <= MAX_SIZE, "no output is left")
        found.append(TransposedAxis(size, kernel[axis], stride, dilation, before, count))
    return found


def reached(
    size: int, kernel: int, stride: int, dilation: int, before: int, count: int
) -> list[list[tuple[int, int]]]:
    """For each output place along an axis, the input places that reach it with their taps."""
    found = [list[tuple[int, int]]() for _ in range(count)]
    for place in range(size):
        for tap in range(kernel):
            output = place * stride + tap * dilation - before
            if 0 <= output < count:
                found[output].append((place, tap))
    return found


def hit_taps(
    hits: list[list[list[tuple[int, int]]]], sides: Sequence[int], kernel: Sequence[int]
) -> list[list[Tap]]:
    """The taps of every output place in C order, from those along each axis."""
    found = [[Tap(0, 0)]]
    for axis, places in enumerate(hits):
        input_stride = math.prod(sides[axis + 1 :])
        kernel_stride = math.prod(kernel[axis + 1 :])
        found = [[Tap(tap.seen + place * input_stride, tap.weight + number * kernel_stride)
                  for tap in taps for place, number in reach]
                 for taps in found for reach in places]
    return found


def transposed_products(
    tensor: SymbolicTensor, weight: SymbolicTensor, layer: Layer
) -> list[Form]:
    """The elements of a transposed convolution: sums of form * weight."""
    numbers, forms = weight.constants(), list[Form]()
    for output, first in layer.outputs_with_channels():
        group, own = divmod(output, layer.outputs_a_group)
        for taps in layer.taps:
            terms = []
            for channel in range(layer.depth):
                seen = (first + channel) * layer.channel_size
                place = (group * layer.depth + channel) * layer.outputs_a_group + own
                terms += [(tensor.items[seen + tap.seen],
                           numbers[place * layer.kernel_size + tap.weight]) for tap in taps]
            forms.append(total(terms))
    return forms


OPERATORS = {
    "ConvTranspose": Operator(conv_transpose, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT, FLOAT_INPUT.optionally()),
        attributes=(AttributeSlot("auto_pad", TEXT), AttributeSlot("dilations", INTEGER_LIST),
                    AttributeSlot("group", INTEGER), AttributeSlot("kernel_shape", INTEGER_LIST),
                    AttributeSlot("output_padding", INTEGER_LIST),
                    AttributeSlot("output_shape", INTEGER_LIST),
                    AttributeSlot("pads", INTEGER_LIST), AttributeSlot("strides", INTEGER_LIST)),
        bfloat16=22)),
    "Conv": Operator(conv, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT, FLOAT_INPUT.optionally()),
        attributes=(AttributeSlot("auto_pad", TEXT), AttributeSlot("dilations", INTEGER_LIST),
                    AttributeSlot("group", INTEGER), AttributeSlot("kernel_shape", INTEGER_LIST),
                    AttributeSlot("pads", INTEGER_LIST),
                    AttributeSlot("strides", INTEGER_LIST)), bfloat16=22)),
}
