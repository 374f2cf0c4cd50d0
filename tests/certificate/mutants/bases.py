"""What is mutated: sound networks, specs, queries, data files and certificates."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from tests.certificate.falsehoods.claims import BOUND, LEAF, Certificate, Files
from tests.certificate.falsehoods.cores import chain, framed, ints, weights
from tests.certificate.falsehoods.nets import net
from tests.certificate.falsehoods.random_claims import base

POINT = "verifex = 1\n[input]\npoint = [0.25, -1, 0.5]\n"
SPECS = (
    POINT + """[region]
linf = { "x[0]" = 0.125, "*" = "1/16" }
clip = [-2, { "x[2]" = 2, "*" = 4 }]
freeze = ["x[1]"]
linear = ["x[0] - 2*x[2] <= 0.75", "-1 <= x[0] + 1/3*x[1] <= 1e0"]
[explain]
output = "margin:0,1"
reduce = "abs"
[[assume]]
output = { weights = [1, -0.5] }
at_least = -100
[[require]]
any = [{ not = { component = "x[0]", above = 100 } }, { all = [{ class = 0 }, { class = 1 }] }]
[[require]]
mass = [0, "x[2]"]
at_least = 0
[[require]]
top_k = 2
overlap_at_least = 1
tie = "index"
""",
    POINT + """names = ["age", "pay", "b c"]
round = "float32"
scale = { min = [0, -1, 0], max = ["1", 1, 2] }
[region]
box = { lo = [-1, -1, 0], hi = 1 }
l1 = 0.5
l2 = "3/4"
integer = ["age"]
linear = '0 <= age + x["b c"] <= 10'
[explain]
attribution = "input_x_gradient"
output = "sum"
[[require]]
distance = "l2"
at_most = 1e3
[[require]]
sign = "unchanged"
which = ["age"]
at_least = 0
zero = "ignore"
[[require]]
monotone = "increasing"
feature = "p*"
output = "logit:1"
""",
    """verifex = 1
kink = "zero"
[input]
data = "d.csv"
row = 1
target = "label"
minmax_of = "d.csv"
[region]
only = ["a", "b"]
linf = 0.0625
[explain]
output = "predicted"
[[require]]
mass = { file = "m.npy" }
at_most = 1
[[require]]
similarity = "cosine"
at_least = -1
[[require]]
order = ["a", "b"]
""",
    """verifex = 1
network_output = "y"
[input]
data = "p.npy"
row = 0
[region]
linf = [0.1, 0.2, 0.3]
one_hot = [["x[0]", "x[1]"]]
[[require]]
output = "logit:1"
at_most = 1000
""",
)
CSV = "a,b,c,label\n0.5,1e-1,2,yes\n1,-2,.5,\"n,o\"\n\n3,0.25,1,yes\n"
QUERIES = (
    """; a query
(declare-const X_0 Real)
(declare-fun X_1 () Real)
(declare-const X_2 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (and (>= X_0 -0.5) (<= X_0 0.5) (<= (- 1) X_1) (<= X_1 (* 2 0.5))))
(assert (>= X_2 0)) (assert (<= X_2 1e-1))
(assert (or (>= Y_0 1e6) (and (< Y_1 (- Y_0 10000 1)) (>= (+ Y_0 (* 2 Y_1)) 1000.5))))
""",
    """(vnnlib-version <2.0>)
(declare-network N
    (declare-input X Real [1,3])
    (declare-output Y Real [1,2])
)
(assert (and (>= X[0,0] -0.5) (<= X[0,0] 0.5) (>= X[0,1] -1.0) (<= X[0,1] 1.0)))
(assert (and (>= X[0,2] 0.0) (<= X[0,2] 0.1)))
(assert (or (>= Y[0,0] 1000000.0) (<= (+ Y[0,1] (* 2.0 Y[0,0])) -1000000.0)))
""",
)


@dataclass(frozen=True)
class Base:
    """Files, their certificate, and which of them are mutated."""

    files: Files
    certificate: Certificate
    target: str
    extra: Mapping[str, bytes] = field(default_factory=dict)


def npy(values: object, kind: str) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(values).astype(kind))
    return out.getvalue()


def data() -> dict[str, bytes]:
    return {"d.csv": CSV.encode(), "p.npy": npy([[0, 1, 0.5], [1, 0, 2]], "<f8"),
            "m.npy": npy([1, 0, 1], "|u1")}


@cache
def plain_network() -> bytes:
    return net(random.Random(3), 3, 2, [3, 2]).onnx()


@cache
def networks() -> tuple[bytes, ...]:
    """Networks with most operators that the checker reads."""
    g = random.Random(5)
    image = chain(
        (1, 1, 4, 4), ("Conv", "h,k,kb", "a", {"pads": [1, 1, 0, 0], "strides": [1, 2]}),
        ("BatchNormalization", "a,s,o,m,v", "b", {"epsilon": 0.01}), ("Relu", "b", "r", {}),
        ("MaxPool", "r", "p", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("AveragePool", "p", "q", {"kernel_shape": [2, 1], "count_include_pad": 1,
                                   "pads": [1, 0, 0, 0]}),
        ("Flatten", "q", "f", {"axis": 1}), ("ReduceMax", "f", "c", {"axes": [1]}),
        k=weights(g, 2, 1, 2, 2), kb=weights(g, 2), s=weights(g, 2), o=weights(g, 2),
        m=weights(g, 2), v=abs(weights(g, 2)))
    shapes = chain(
        (2, 6), ("Shape", "h", "z", {}), ("Gather", "z,one", "w", {"axis": 0}),
        ("Concat", "one,w", "t", {"axis": 0}), ("Slice", "h,zero,one,zero,one", "u", {}),
        ("Reshape", "u,t", "d", {"allowzero": 0}),
        ("Split", "d,six", "e,f", {"axis": -1}), ("Transpose", "e", "i", {"perm": [1, 0]}),
        ("Unsqueeze", "i,zero", "j", {}), ("Squeeze", "j,zero", "l", {}),
        ("Pad", "l,pads", "n", {"mode": "constant"}), ("ReduceSum", "n,zero", "a", {"keepdims": 1}),
        ("Clip", "f,low,high", "b", {}), ("MatMul", "a,v", "g", {}), ("Add", "g,b", "c", {}),
        zero=ints(0), one=ints(1), six=ints(3, 3), pads=ints(0, 0, 1, 1),
        low=np.float32(-1), high=np.float32(2), v=weights(g, 2, 3))
    gates = chain(
        (1, 3), ("LeakyRelu", "h", "a", {"alpha": 0.5}), ("PRelu", "a,s", "b", {}),
        ("Greater", "b,s", "g", {}), ("Cast", "g", "d", {"to": 1}), ("Mul", "d,b", "e", {}),
        ("Max", "e,s,b", "f", {}), ("Min", "f,b", "i", {}), ("Abs", "i", "j", {}),
        ("Sub", "j,s", "l", {}), ("Div", "l,two", "m", {}), ("Dropout", "m", "n", {}),
        ("Gemm", "n,w,s", "c", {"alpha": 2.0, "beta": 0.5, "transB": 1}),
        s=weights(g, 3), w=weights(g, 3, 3), two=np.float32(2))
    return plain_network(), *(framed(random.Random(k), c) for k, c in
                              enumerate((image, shapes, gates)))


OPEN = """verifex = 1
[region]
box = [-1, 1]
[[require]]
output = "sum"
at_most = 1000000
"""


@cache
def bases() -> tuple[Base, ...]:
    """All bases, a few of each target."""
    found = []
    for k in (2, 11, 13):
        proved = base(k)
        files = proved.claim.files()
        found.append(Base(files, proved.certificate, "certificate"))
    found += [Base(replace(Files(b"", OPEN.encode()), network=n), BOUND, "network")
              for n in networks()]
    for text in SPECS:
        named = {k: v for k, v in data().items() if f'"{k}"' in text}
        found.append(Base(Files(plain_network(), text.encode(), named), LEAF, "spec"))
    for text in SPECS[2:]:
        named = {k: v for k, v in data().items() if f'"{k}"' in text}
        found.append(Base(Files(plain_network(), text.encode(), named), LEAF, "data"))
    found += [Base(Files(plain_network(), q.encode(), name="query.vnnlib"), BOUND, "query")
              for q in QUERIES]
    return tuple(found)
