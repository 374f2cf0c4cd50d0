"""What the operator sets say of each operator."""

from __future__ import annotations

# Operator | inputs | result | attributes, as the standard has them in the operator sets 7 to 23.
# "@10-" is said of what exists since set 10, "@-9" of what existed until set 9, "?" of what may be
# left out, "+" of what may follow any number of times. Element types of inputs: R floats, N floats
# or integers, A any: one type for all of the same letter of a call. S, T: floats of a type of their
# own. J int32 or int64, L int64, B bool. Results: "=" has the type of the first input, "*" what the
# rule says. Attributes: f float, i integer, s string, t tensor, I integers.
OPERATORS = """
Abs | R | = |
Add | N N | = |
AveragePool | R | = | auto_pad:s ceil_mode:i@10- count_include_pad:i dilations:I@19- kernel_shape:I
    pads:I strides:I
BatchNormalization | R R@-14 S@15- R@-14 S@15- R@-13 S@14 T@15- R@-13 S@14 T@15- | = | epsilon:f
    momentum:f spatial:i@-8 training_mode:i@14-
Cast | A | * | to:i saturate:i@19-
Clip | R R?@11- R?@11- | = | min:f@-10 max:f@-10
Concat | A+ | = | axis:i
Constant | | * | value:t
Conv | R R R? | = | auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I
Div | N N | = |
Dropout | R S?@12- B?@12- | = | ratio:f@-11 seed:i@12-
Flatten | R@-8 A@9- | = | axis:i
Gather | A J | = | axis:i
Gemm | R R R@-10 R?@11- | = | alpha:f beta:f transA:i transB:i
GlobalAveragePool | R | = |
GlobalMaxPool | R | = |
Greater | R R | B |
Identity | A | = |
LeakyRelu | R | = | alpha:f
Less | R R | B |
MatMul | R R | = |
Max | R+ | = |
MaxPool | R | = | auto_pad:s ceil_mode:i@10- dilations:I@10- kernel_shape:I pads:I
    storage_order:i@8- strides:I
Min | R+ | = |
Mul | N N | = |
Neg | R | = |
PRelu | R R | = |
Pad | R@-12 A@13- L@11- R?@11-12 A?@13- L?@18- | = | mode:s pads:I@-10 value:f@-10
ReduceMax | R L?@18- | = | axes:I@-17 keepdims:i noop_with_empty_axes:i@18-
ReduceMean | R L?@18- | = | axes:I@-17 keepdims:i noop_with_empty_axes:i@18-
ReduceSum | R L?@13- | = | axes:I@-12 keepdims:i noop_with_empty_axes:i@13-
Relu | R | = |
Reshape | A L | = | allowzero:i@14-
Shape | A | L | start:i@15- end:i@15-
Slice | A J@10- J@10- J?@10- J?@10- | = | axes:I@-9 ends:I@-9 starts:I@-9
Split | A L?@13- | = | axis:i split:I@-12 num_outputs:i@18-
Squeeze | A L?@13- | = | axes:I@-12
Sub | N N | = |
Transpose | A | = | perm:I
Unsqueeze | A L@13- | = | axes:I@-12
"""
SIGNATURES = {row.split("|")[0].strip(): row.split("|")[1:]
              for row in OPERATORS.replace("\n    ", " ").strip().split("\n")}


def existing(words: str, opset: int) -> list[str]:
    """Those of the words that the operator set has, without their marks of operator sets."""
    out = []
    for word, _, window in (w.partition("@") for w in words.split()):
        low, dash, high = window.partition("-")
        if int(low or 7) <= opset <= int(high or (23 if dash or not low else low)):
            out.append(word)
    return out
