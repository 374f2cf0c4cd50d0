"""What is read of each ONNX operator: by the frontend, and by the checker of certificates.

One table for both. Every operator that the frontend reads has a line, with what restricts it; a
line of an operator that the checker does not read says why. Tests hold the table against the rules
of both readers, and docs/support.md against the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ALL = "as the standard says"
FLOATS = "floats"
KNOWN = "known while reading"
PLACES = "constant places"
AXES = "constant axes; an empty list of axes is refused where readers differ"
WINDOW = "auto_pad or pads, not both; pads smaller than the window"
SMOOTH = "smooth: its planes are not exact, so a claim stays `claimed`"
HEAD = "as a head: where the claim is decided on the logits; else smooth"


@dataclass(frozen=True)
class Support:
    """What restricts an operator, and why the checker does not read it ("" where it does)."""

    restriction: str
    unchecked: str = ""


def _read(restriction: str, *names: str) -> dict[str, Support]:
    return {name: Support(restriction) for name in names}


def _smooth(restriction: str, *names: str, why: str = SMOOTH) -> dict[str, Support]:
    return {name: Support(restriction, why) for name in names}


SUPPORT: Mapping[str, Mapping[str, Support]] = {
    "": {
        **_read(ALL, "Abs", "Add", "Concat", "DepthToSpace", "Flatten", "Gemm",
                "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity",
                "LeakyRelu", "MatMul", "Max", "Mean", "Min", "Mul", "Neg", "Relu", "Size",
                "SpaceToDepth", "Sub", "Sum", "Transpose"),
        **_read("inference only", "BatchNormalization", "Dropout"),
        **_read("constant shapes and counts", "Expand", "Reshape", "Tile"),
        **_read(AXES, "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceL1", "Squeeze",
                "Unsqueeze"),
        **_read(WINDOW, "MaxPool", "AveragePool"),
        **_read("constant weights; auto_pad or pads, not both", "Conv"),
        **_read("constant weights; no output_shape, no SAME", "ConvTranspose"),
        **_read(PLACES, "Gather", "GatherElements"),
        **_read(PLACES + "; reductions none and add; no two values in one place", "ScatterElements",
                "ScatterND"),
        **_read("constant starts, ends and steps; none backwards from beyond the axis", "Slice"),
        **_read("constant parts", "Split"),
        **_read("constant pads; negative ones in mode constant alone", "Pad"),
        **_read("letters only, no ellipsis", "Einsum"),
        **_read("bounds in order; computed ones both or none", "Clip"),
        **_read("constant slopes", "PRelu"),
        **_read("by constants; by computed values it is smooth", "Div"),
        **_read("exponents 0, 1; as smooth also 2, 3, 1/2, -1/2, -1, -2", "Pow"),
        **_read("a value of 0 may count as either sign", "Sign"),
        **_read("a tie may count as either", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
        **_read("constants", "Equal", "ConstantOfShape"),
        **_read("dense numbers", "Constant"),
        **_read("whole numbers, constant ends", "Range"),
        **_read("whole numbers known while reading; fmod = 0", "Mod"),
        **_read("axes that are there", "Shape"),
        **_read("conditions of comparisons, or constants", "And", "Not", "Or", "Where"),
        **_read("to a type that holds every number of the first", "Cast", "CastLike"),
        **_read("nearest or linear; constant sizes or factors", "Resize", "Upsample"),
        **_smooth("as the last layer of a classifier, or anywhere as a smooth function",
                  "LogSoftmax", "Sigmoid", "Softmax", why=HEAD),
        **_smooth(ALL, "Celu", "Cos", "Elu", "Erf", "Exp", "Log", "Reciprocal", "ReduceL2",
                  "ReduceSumSquare", "Selu", "Sin", "Softplus", "Sqrt", "Tanh"),
        **_smooth("irrational factors rounded once to float64", "Gelu"),
        **_smooth("one output", "LayerNormalization"),
    },
    "ai.onnx.ml": {
        **_read("columns that exist", "ArrayFeatureExtractor"),
        **_read("one offset and one factor, or one a feature", "Scaler"),
        **_read("read as the tensor of scores", "ZipMap"),
        **_read(ALL, "FeatureVectorizer"),
        **_read("a tie may count as either", "Binarizer"),
        **_read("NaN alone is replaced, which no real number is", "Imputer"),
        **_read("one row of features, no post_transform", "LinearRegressor"),
        **_read("one row of features; NONE, LOGISTIC, SOFTMAX; labels are left out",
                "LinearClassifier"),
        **_read("whole numbers that are inputs; no texts", "OneHotEncoder", "LabelEncoder"),
        "Normalizer": Support("L1 of a classifier's probabilities", HEAD),
        **_read("gradients are refused; labels are left out", "TreeEnsembleRegressor",
                "TreeEnsembleClassifier", "TreeEnsemble"),
    },
}
"""By domain and operator."""


def sets_of(domain: str, name: str) -> str:
    """The operator sets that have an operator, of those that are read."""
    from onnx import defs

    from verifex.frontend.onnx.operators.rules import OPSETS

    versions = OPSETS if not domain else range(1, 6)
    there = []
    for version in versions:
        try:
            if not defs.get_schema(name, version, domain).deprecated:
                there.append(version)
        except defs.SchemaError:
            continue
    return f"{there[0]} to {there[-1]}" if there else "none"


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Operator, operator sets, what restricts it, and what the checker says, in order of names."""
    for domain, table in SUPPORT.items():
        for name, one in sorted(table.items()):
            shown = f"{domain}.{name}" if domain else name
            yield shown, sets_of(domain, name), one.restriction, one.unchecked or "read"


PAGE = """# Operators

Written by `verifex support --markdown docs/support.md`.

What is read of ONNX, by the frontend and by the checker of certificates. Element types are float32,
float64, float16 and bfloat16 at their exact values; integers and booleans have to be known while
reading, come from comparisons, or be inputs that a spec declares as whole numbers. Constants may
lie in files beside the model. A symbolic or open batch is a batch of one. Operators that are not in
the table are refused by name; those of quantised models (`QuantizeLinear`, `DequantizeLinear`,
`DynamicQuantizeLinear`, `QLinear...`, `ConvInteger`, `MatMulInteger`) with the way out, which is to
export the float model.

| operator | operator sets | restricted to | checker |
|---|---|---|---|
"""


def page() -> str:
    """The table as a Markdown page."""
    return PAGE + "".join(f"| {' | '.join(row)} |\n" for row in rows())
