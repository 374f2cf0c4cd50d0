"""Models in ONNX's own text form for ops about types, shapes and conditions."""

from __future__ import annotations

import onnx

# Ops about types, shapes and conditions, as whole models in ONNX's own text form (opset, body).
MODELS: dict[str, tuple[int, str]] = {
    "Constant": (17, """(double[2] x) => (double[2] y) {
        a = Constant <value_float = 2.0> ()
        b = Constant <value_floats = [0.5, 0.25]> ()
        c = Constant <value = double[1] {3.5}> ()
        d = Constant <value_ints = [2]> ()
        e = Constant <value_int = 2> ()
        ab = Mul(a, b)
        abd = Cast<to = 11>(ab)
        f = Reshape(abd, d)
        n = Unsqueeze(e, z)
        g = Reshape(f, n)
        z = Constant <value_ints = [0]> ()
        t = Add(x, g)
        y = Mul(t, c) }"""),
    "ConstantOfShape": (17, """(double[2,3] x) => (double[2,3] y) {
        s = Shape(x)
        o = ConstantOfShape <value = double[1] {0.75}> (s)
        z = ConstantOfShape (s)
        w = Cast <to = 11> (z)
        t = Mul(x, o)
        y = Add(t, w) }"""),
    "Shape": (17, """(double[2,3,4] x) => (double[4,6] y) {
        s = Shape <start = -1> (x)
        m = Constant <value_ints = [-1]> ()
        t = Concat <axis = 0> (s, m)
        y = Reshape(x, t) }"""),
    "Size": (17, """(double[2,3] x) => (double[2,3] y) {
        n = Size(x)
        f = Cast <to = 11> (n)
        y = Div(x, f) }"""),
    "Cast": (17, """(float[2,3] x) => (double[2,3] y) {
        d = Cast <to = 11> (x)
        c = Constant <value = double[1] {0.125}> ()
        f = Cast <to = 1> (c)
        g = Cast <to = 11> (f)
        y = Add(d, g) }"""),
    "CastLike": (17, """(float[2,3] x, double[1] l) => (double[2,3] y) {
        d = CastLike(x, l)
        y = Add(d, l) }"""),
    "Mod": (17, """(double[4] x) => (double[4] y) {
        a = Constant <value_ints = [3, -3, 3, -4]> ()
        b = Constant <value_ints = [2, 2, -2, 3]> ()
        r = Mod(a, b)
        y = Gather(x, r) }"""),
    "Range": (17, """(double[4] x) => (double[2] y) {
        a = Constant <value_int = 3> ()
        b = Constant <value_int = -1> ()
        c = Constant <value_int = -2> ()
        r = Range(a, b, c)
        y = Gather(x, r) }"""),
    "Not": (17, """(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] n) {
        g = Greater(x, v)
        b = Not(g)
        n = Cast <to = 11> (b)
        y = Where(b, x, v) }"""),
    "And": (17, """(double[5] x, double[5] v)
            => (double[5] y1, double[5] y2, double[5] y3, double[5] y4) {
        a = Greater(x, v)
        b = LessOrEqual(x, z)
        z = Constant <value = double[1] {0.5}> ()
        c = And(a, b)
        d = Less(x, z)
        e = And(a, d)
        f = And(b, nb)
        nb = Not(a)
        k = Constant <value = bool[5] {1, 0, 1, 1, 0}> ()
        h = And(k, b)
        y1 = Cast <to = 11> (c)
        y2 = Cast <to = 11> (e)
        y3 = Cast <to = 11> (f)
        y4 = Cast <to = 11> (h) }"""),
    "Or": (17, """(double[5] x, double[5] v)
            => (double[5] y1, double[5] y2, double[5] y3, double[5] y4) {
        a = Greater(x, v)
        b = LessOrEqual(x, z)
        z = Constant <value = double[1] {0.5}> ()
        c = Or(a, b)
        d = Less(x, z)
        e = Or(a, d)
        f = Or(b, nb)
        nb = Not(a)
        k = Constant <value = bool[5] {1, 0, 1, 1, 0}> ()
        h = Or(k, a)
        y1 = Cast <to = 11> (c)
        y2 = Cast <to = 11> (e)
        y3 = Cast <to = 11> (f)
        y4 = Cast <to = 11> (h) }"""),
    "Where": (17, """(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] w) {
        z = Constant <value = double[1] {0.0}> ()
        g = Greater(x, z)
        a = Neg(x)
        y = Where(g, v, a)
        k = Constant <value = bool[3] {1, 0, 1}> ()
        w = Where(k, x, v) }"""),
    **{op: (17, f"""(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] w) {{
        g = {op}(x, v)
        y = Cast <to = 11> (g)
        w = Mul(x, y) }}""") for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")},
    "Equal": (17, """(double[3] x, double[3] v) => (double[3] y) {
        a = Constant <value_ints = [1, 2, 3]> ()
        b = Constant <value_ints = [1, 0, 3]> ()
        e = Equal(a, b)
        y = Where(e, x, v) }"""),
}


def from_text(opset: int, body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> case {body}')


def sort_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxruntime wants nodes in order; verifex does not care, and the texts above test that."""
    known = {i.name for i in model.graph.input} | {""}
    ordered: list[onnx.NodeProto] = []
    waiting = list(model.graph.node)
    while waiting:
        ready = next(n for n in waiting if known >= set(n.input))
        waiting.remove(ready)
        ordered.append(ready)
        known |= set(ready.output)
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.node[:]
    out.graph.node.extend(ordered)
    return out
