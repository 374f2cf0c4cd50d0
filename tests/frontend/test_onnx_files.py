"""Whole networks: benchmark files, exports of torch and scikit-learn, Keras layouts, bad files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_runs import compare, weights
from verifex.errors import InputError, UnsupportedError
from verifex.frontend import Limits, from_torch, load, load_bytes
from verifex.ir.ops import Relu
from verifex.semantics.evaluate import evaluate_float

RNG = np.random.default_rng(11)

REFUSED = {
    "onnx_zoo/marabou/layer-zoo/dropout_training_mode_true.onnx": "Dropout in training mode",
    "vnncomp/ACC/onnx/": "Gemm of float64 and float32",  # onnxruntime refuses them too
}
"""Benchmark files that are refused on purpose (or folders), with what the refusal names."""

NETWORKS = (
    "onnx_zoo/marabou/**/*.onnx*", "attribution_models/**/*.onnx*", "reference/*.onnx",
    "vnncomp/acasxu_2023/onnx/*_1_1_*", "vnncomp/acasxu_2023/onnx/*_5_9_*",
    "vnncomp/mnist_fc/onnx/*x2*", "vnncomp/rl_benchmarks/onnx/*", "vnncomp/test/*.onnx",
    "vnncomp/ACC/onnx/*", "vnncomp/lsnc/onnx/*", "vnncomp/nln_2020/*/*.onnx*",
    "vnncomp/reach_prob_density/onnx/*", "vnnlib2/acasxu_isomorphic/onnx/*/*1_1*",
)


def test_benchmark_networks_agree_with_onnxruntime(shared_data: Path) -> None:
    seen = set()
    for pattern in NETWORKS:
        found = sorted(p for p in shared_data.glob(pattern) if p.is_file())
        assert found, pattern
        for path in found:
            name = str(path.relative_to(shared_data))
            refused = next((k for k in REFUSED if name.startswith(k)), "")
            seen.add(refused)
            if refused:
                with pytest.raises(InputError, match=REFUSED[refused]):
                    load(path)
            else:
                raw = path.read_bytes()
                raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
                compare(onnx.load_model_from_string(raw), 1e-4, points=1)
                load(path)
    assert set(REFUSED) <= seen


# --- exporters ----------------------------------------------------------------------------------


def torch_mlp():
    import torch

    return torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(8, 8),
        torch.nn.LeakyReLU(0.1), torch.nn.Linear(8, 3))


def torch_cnn():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
            self.pool, self.mean = nn.MaxPool2d(2), nn.AvgPool2d(2)
            self.out = nn.Linear(16, 3)

        def forward(self, x):
            h = torch.relu(self.norm(self.first(x)))
            h = h + torch.relu(self.second(h))  # a residual connection
            h = self.mean(self.pool(h))
            h = torch.clamp(h, -0.5, 2.0)
            return torch.softmax(self.out(torch.flatten(h, 1)), dim=1)

    model = Block()
    model.norm.running_mean.uniform_(-0.5, 0.5)
    model.norm.running_var.uniform_(0.5, 2.0)
    return model


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(("make", "shape"), [(torch_mlp, (1, 5)), (torch_cnn, (1, 2, 8, 8))])
def test_torch_modules(make, shape: tuple[int, ...], dynamo: bool) -> None:
    import torch

    torch.manual_seed(3)
    module = make().double()
    graph = from_torch(module, torch.zeros(shape, dtype=torch.float64), dynamo=dynamo)
    assert module.training  # exporting leaves the module as it was
    module.eval()
    (out,) = graph.outputs.values()
    for _ in range(3):
        x = RNG.uniform(-1, 1, shape)
        wanted = module(torch.from_numpy(x)).detach().numpy()
        found = evaluate_float(graph, x.reshape(1, -1), [out])[out][0]
        # The exporters fold float64 BatchNormalization in float32.
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_torch_modules_with_two_inputs() -> None:
    import torch

    class Both(torch.nn.Module):
        def forward(self, a, b):
            return torch.maximum(a, b) - a.abs().sum(dim=1, keepdim=True)

    graph = from_torch(Both(), (torch.zeros(1, 4), torch.zeros(1, 4)))
    assert [graph.nodes[i].op.name for i in graph.inputs] == ["input_0", "input_1"]
    (out,) = graph.outputs.values()
    x = RNG.uniform(-1, 1, (1, 8))
    wanted = np.maximum(x[:, :4], x[:, 4:]) - np.abs(x[:, :4]).sum()
    np.testing.assert_allclose(evaluate_float(graph, x, [out])[out][0], wanted)


def sklearn_classifier(zipmap: bool) -> tuple[bytes, object]:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier(
        hidden_layer_sizes=(6, 5), solver="lbfgs", max_iter=20000, random_state=0, alpha=0.1,
    )).fit(x, y)
    made = to_onnx(model, x[:1].astype(np.float32), options={"zipmap": zipmap})
    return made.SerializeToString(), model


def test_scikit_learn_classifier() -> None:
    data, model = sklearn_classifier(zipmap=False)
    graph = load_bytes(data, "mlp.onnx", outputs=["probabilities"])
    x = RNG.uniform(0, 6, (1, 4)).astype(np.float32)
    out = graph.outputs["probabilities"]
    found = evaluate_float(graph, x.astype(np.float64), [out])[out][0]
    np.testing.assert_allclose(found, model.predict_proba(x), atol=1e-5)


def test_scikit_learn_regressor() -> None:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPRegressor

    x = RNG.uniform(-1, 1, (60, 4))
    model = MLPRegressor(
        hidden_layer_sizes=(6,), solver="lbfgs", max_iter=5000, random_state=0, alpha=0.1,
    ).fit(x, np.abs(x).sum(1))
    compare(to_onnx(model, x[:1].astype(np.float32)), 1e-4)


def test_keras_layout() -> None:
    """NHWC images: Transpose, Conv, Transpose back, Reshape, MatMul and Add."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["c"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["c", "k", "kb"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    stored = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in (
        ("k", weights(4, 2, 3, 3)), ("kb", weights(4)), ("w", weights(64, 3)), ("b", weights(3)))]
    stored.append(numpy_helper.from_array(np.array([-1, 64]), "flat"))
    graph = helper.make_graph(
        nodes, "keras", [helper.make_tensor_value_info("x", 1, ["N", 6, 6, 2])],
        [helper.make_tensor_value_info("y", 1, ["N", 3])], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    compare(model, 1e-5)
    nodes_left = load_bytes(model.SerializeToString(), "keras.onnx").nodes
    assert len(nodes_left) == 5  # input, transpose, conv + bias, relu, transposed dense + bias


# --- exactness and size -------------------------------------------------------------------------


def text_model(body: str, opset: int = 17) -> bytes:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> m {body}').SerializeToString()


@pytest.mark.parametrize(("body", "gates"), [
    ("(double[4] x) => (double[4] y) { y = LeakyRelu <alpha = 0.1> (x) }", 4),
    ("(double[4] x) => (double[4] y) { y = Abs(x) }", 4),
    ("(double[4] x, double[4] v) => (double[4] y) { y = Max(x, v) }", 4),
    ("(double[1,1,4,4] x) => (double[1,1,2,2] y) "
     "{ y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x) }", 12),
    # 3x3 windows that overlap: rows are shared between windows above one another.
    ("(double[1,1,5,5] x) => (double[1,1,3,3] y) { y = MaxPool <kernel_shape = [3,3]> (x) }", 50),
])
def test_gates_are_few(body: str, gates: int) -> None:
    graph = load_bytes(text_model(body), "m.onnx")
    found = sum(n.size for n in graph.nodes if isinstance(n.op, Relu))
    assert found <= gates


def test_constants_stay_exact() -> None:
    """A third is a third: the reciprocal of a constant is not rounded."""
    from fractions import Fraction

    from verifex.semantics.evaluate import evaluate_exact

    body = """(double[1] x) => (double[1] y) {
        c = Constant <value = double[1] {3.0}> ()
        y = Div(x, c) }"""
    graph = load_bytes(text_model(body), "m.onnx")
    out = graph.outputs["y"]
    assert evaluate_exact(graph, [Fraction(1)], [out])[out].fractions() == [Fraction(1, 3)]


def test_batch_normalization_is_folded_once_and_said() -> None:
    from fractions import Fraction

    from verifex.frontend.onnx.values import nearest_scale_over_root

    for scale, variance in ((1.0, 2.0), (-0.3, 0.7), (1e-30, 1e12), (5.0, 4.0), (0.0, 1.0)):
        found = Fraction(nearest_scale_over_root(Fraction(scale), Fraction(variance)))
        wanted = Fraction(scale) ** 2 / Fraction(variance)
        ulp = Fraction(np.spacing(float(abs(found))))
        low, high = max(abs(found) - ulp / 2, Fraction(0)), abs(found) + ulp / 2
        assert low**2 <= wanted <= high**2
        assert (found < 0) == (scale < 0)


def test_computed_weights_keep_all_digits() -> None:
    """A weight that is a product of weights needs more digits than a float has."""
    from fractions import Fraction

    from verifex.semantics.evaluate import evaluate_exact

    body = """(double[1,1] x) => (double[1,1] y) {
        a = Constant <value = double[1,1] {0.1}> ()
        b = Constant <value = double[1,1] {0.7}> ()
        w = MatMul(a, b)
        y = MatMul(x, w) }"""
    graph = load_bytes(text_model(body), "m.onnx")
    out = graph.outputs["y"]
    value = evaluate_exact(graph, [Fraction(1)], [out])[out].fractions()
    assert value == [Fraction(0.1) * Fraction(0.7)]


# --- files nobody vouches for -------------------------------------------------------------------


def small_model() -> onnx.ModelProto:
    return onnx.load_model_from_string(text_model(
        "(double[1,2] x) => (double[1,2] y) <double[2,2] w = {1.0, 2.0, 3.0, 4.0}> "
        "{ y = MatMul(x, w) }"))


def test_gzip_is_read_and_bounded(tmp_path: Path) -> None:
    plain = small_model().SerializeToString()
    good = tmp_path / "m.onnx.gz"
    good.write_bytes(gzip.compress(plain))
    assert load(good).outputs
    bomb = tmp_path / "bomb.onnx.gz"
    bomb.write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(InputError, match="too big"):
        load(bomb, limits=Limits(max_bytes=1_000_000))
    cut = tmp_path / "cut.onnx.gz"
    cut.write_bytes(gzip.compress(plain)[:-12])
    with pytest.raises(InputError, match=r"cut\.onnx\.gz: the gzip data"):
        load(cut)
    cut.write_bytes(gzip.compress(plain) * 2)
    with pytest.raises(InputError, match="followed by more"):
        load(cut)
    with pytest.raises(InputError, match="too big"):
        load_bytes(plain, "m.onnx", Limits(max_bytes=10))
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.onnx")


def external_model(location: str, **entries: str) -> bytes:
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("double_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return model.SerializeToString()


def test_external_data(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    (folder / "w.bin").write_bytes(b"12345678" + numbers.tobytes())
    (tmp_path / "outside.bin").write_bytes(numbers.tobytes())
    os.symlink(tmp_path / "outside.bin", folder / "link.bin")
    os.symlink(tmp_path, folder / "up")
    (folder / "folder").mkdir()
    path = folder / "m.onnx"
    path.write_bytes(external_model("w.bin", offset="8", length="32"))
    graph = load(path)
    out = graph.outputs["y"]
    x = np.array([[1.0, -1.0]])
    np.testing.assert_array_equal(evaluate_float(graph, x, [out])[out][0], x @ numbers)
    with pytest.raises(InputError, match="stored outside the file"):
        load_bytes(path.read_bytes(), "m.onnx")
    wrong = {
        "../outside.bin": "outside the model's folder", str(tmp_path / "outside.bin"): "outside",
        "link.bin": "symbolic link", "up/outside.bin": "outside", "none.bin": "cannot be",
        "": "outside", ".": "outside", "w.bin/x": "outside", "up": "symbolic link",
        "folder": "cannot be",
    }
    for location, message in wrong.items():
        path.write_bytes(external_model(location))
        with pytest.raises(InputError, match=message):
            load(path)
    for entries in ({"offset": "16"}, {"length": "31"}, {"offset": "-8"}, {"offset": "9" * 30},
                    {"strange": "1"}):
        path.write_bytes(external_model("w.bin", **entries))
        with pytest.raises(InputError):
            load(path)


@pytest.mark.parametrize(("body", "message"), [
    ("(double[1] x) => (double[1] y) { y = Tan(x) }", "op 'Tan'"),
    ("(double[1] x) => (double[1] y) { y = Relu <slope = 1.0> (x) }", "attribute 'slope' of Relu"),
    ("(double[1] x) => (double[1] y) { y = Add(x, w) }", "'w' does not exist"),
    ("(double[1] x) => (double[1] y) { y = Add(x, y) }", "cycle"),
    ("(double[1] x) => (double[1] y) { y = other.Op(x) }", "domain 'other'"),
    ("(int64[1] x) => (int64[1] y) { y = Neg(x) }", "type int64"),
    ("(double[1,N] x) => (double[1,N] y) { y = Neg(x) }", "dimension 1 is open"),
    ("(double[2] x) => (double[1] y) { a = Constant <value_ints = [1]> () y = Add(x, a) }",
     "Add of float64 and int64"),
    ("(double[2] x) => (double[1] y) { a = ArgMax(x) y = Cast <to = 11> (a) }", "op 'ArgMax'"),
    ("(double[2] x) => (double[2] y) { y = Clip <min = 2.0, max = 1.0> (x) }", "attribute 'm"),
    ("(double[1048576] x) => (double[1] y) { a = Constant <value_ints = [1048576, 1]> () "
     "b = Reshape(x, a) y = Add(x, b) }", "too many elements"),
])
def test_refusals_name_the_cause(body: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_bytes(text_model(body), "m.onnx")
    assert str(caught.value).startswith("m.onnx:")


@pytest.mark.parametrize("opset", [0, 6, 24, 1000])
def test_opsets_outside_are_refused(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"operator set {opset}"):
        load_bytes(text_model("(double[1] x) => (double[1] y) { y = Neg(x) }", opset), "m.onnx")


def test_constants_cannot_grow_without_bound() -> None:
    lines = "\n".join(f"c{k + 1} = Mul(c{k}, c{k})" for k in range(64))
    body = f"""(double[1] x) => (double[1] y) {{
        c0 = Constant <value = double[1] {{0.3}}> ()
        {lines}
        y = Add(x, c64) }}"""
    with pytest.raises(InputError, match="too many digits"):
        load_bytes(text_model(body), "m.onnx")


def test_a_function_of_the_model_does_not_pass_for_the_standard_op() -> None:
    model = onnx.load_model_from_string(
        text_model("(double[1] x) => (double[1] y) { y = Relu(x) }"))
    model.functions.append(helper.make_function(
        "", "Relu", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])],
        [helper.make_opsetid("", 17)]))
    with pytest.raises(UnsupportedError, match="'Relu' is a function of the model"):
        load_bytes(model.SerializeToString(), "m.onnx")


def test_any_tensor_can_be_an_output() -> None:
    body = "(double[2] x) => (int64 y) { h = Abs(x) y = ArgMax <keepdims = 0> (h) }"
    graph = load_bytes(text_model(body), "m.onnx", outputs=["h"])
    assert list(graph.outputs) == ["h"]
    with pytest.raises(InputError, match="no output 'z', expected one of y"):
        load_bytes(text_model(body), "m.onnx", outputs=["z"])
