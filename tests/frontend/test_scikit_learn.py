"""scikit-learn's models as skl2onnx writes them: frontend, checker, onnxruntime and the estimator
itself agree on every output; what whole inputs mean; what is refused, with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.frontend.sklearn_models import LEARNED, MODELS, Model, trained
from tests.helpers import checker_parts as checker
from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.read import load_bytes
from verifex.ir.graph import Graph
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")
pytest.importorskip("pandas")
ort = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore")


def feeds(session: Any, row: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], list[float]]:
    """A row as onnxruntime takes it, and the numbers that it is then made of."""
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(double)": np.float64}
    feed, at = {}, 0
    for given in session.get_inputs():
        width = given.shape[1]
        feed[given.name] = row[:, at : at + width].astype(kinds[given.type])
        at += width
    flat = [float(v) for values in feed.values() for v in values.ravel()]
    return feed, flat


def opened(data: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(data, options)


def numbers(output: Any) -> NDArray[Any]:
    """An output of onnxruntime, flat; of ZipMap the values of the dictionary."""
    if isinstance(output, list):
        return np.array(list(output[0].values()))
    return np.asarray(output).ravel()


def same_on_both_sides(graph: Graph, net: checker.Network, flat: Sequence[float]) -> None:
    """Exact values of all outputs, of heads their logits, are those of the checker."""
    point = [Fraction(v) for v in flat]
    smooth = {name: head.logits for name, head in net.smooth_outputs.items()}
    assert {n: h.kind for n, h in graph.heads.items()} == {
        n: h.function for n, h in net.smooth_outputs.items()}
    known = {**net.outputs, **smooth}
    assert known.keys() == graph.outputs.keys()
    for name, tensor in known.items():
        node = graph.heads[name].logits if name in graph.heads else graph.outputs[name]
        wanted = evaluate_exact(graph, point, [node])[node].fractions()
        found = checker.exactly(net.graph, net.graph.rows(tensor.items), point, True)
        assert found == wanted


def whole_inputs(net: checker.Network) -> dict[int, tuple[int, int]]:
    nodes = net.graph.nodes
    return {nodes[node].start + k: ends for (node, k), ends in net.graph.whole.items()}


@pytest.mark.parametrize("name", MODELS)
def test_all_readers_agree(name: str) -> None:
    model = MODELS[name]
    data, estimator = trained(model)
    graph, net, session = load_bytes(data, "m.onnx"), checker.Network(data), opened(data)
    names = [output.name for output in session.get_outputs()]
    assert len(graph.outputs) == 1
    for row in model.rows[:6]:
        feed, flat = feeds(session, row[None])
        same_on_both_sides(graph, net, flat)
        deployed = dict(zip(names, session.run(None, feed), strict=True))
        ((output, node),) = graph.outputs.items()
        mine = evaluate_float(graph, np.array([flat]), [node])[node][0].ravel()
        np.testing.assert_allclose(mine, numbers(deployed[output]), rtol=1e-4, atol=1e-5)
        if hasattr(estimator, "predict_proba") and output not in names[:1] \
                and "scores" not in name and model.kind != "columns":
            np.testing.assert_allclose(mine, estimator.predict_proba(row[None])[0], atol=1e-4)
    assert dict(graph.whole_inputs) == whole_inputs(net)


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 18, 21])
@pytest.mark.parametrize("name", ["logistic", "logistic, two classes", "MLP, two classes",
                                  "standard scaler", "least squares"])
def test_older_operator_sets(name: str, opset: int) -> None:
    data, _ = trained(MODELS[name], opset)
    graph, net = load_bytes(data, "m.onnx"), checker.Network(data)
    same_on_both_sides(graph, net, [0.5, -1.25, 0.75, 2])


def test_the_class_is_the_prediction() -> None:
    """The greatest logit, in exact numbers, is the class that the estimator predicts."""
    for name in ("logistic", "MLP", "standard scaler", "linear SVC", "perceptron"):
        model = MODELS[name]
        data, estimator = trained(model)
        graph = load_bytes(data, "m.onnx")
        ((output, node),) = graph.outputs.items()
        node = graph.heads[output].logits if output in graph.heads else node
        for row in model.rows[:10]:
            point = [Fraction(float(np.float32(v))) for v in row]
            logits = evaluate_exact(graph, point, [node])[node].fractions()
            assert estimator.classes_[logits.index(max(logits))] == estimator.predict(row[None])[0]


def test_every_operator_is_written_by_some_model() -> None:
    import onnx

    used = {node.op_type for model in MODELS.values()
            for node in onnx.ModelProto.FromString(trained(model)[0]).graph.node}
    assert LEARNED - used <= {"FeatureVectorizer"}  # see `test_columns_side_by_side`


# --- whole inputs -------------------------------------------------------------------------------

SPEC = """
verifex = 1
[input]
point = [1, 2, 0, 3]
[region]
box = [[0, 0, 0, 0], [3, 3, 3, 3]]
{more}
[[require]]
output = "logit:0"
at_least = -1000
"""


@pytest.fixture(scope="module")
def encoded() -> bytes:
    return trained(MODELS["one-hot"])[0]


def decided(tmp_path: Path, data: bytes, more: str) -> Any:
    import verifex

    (tmp_path / "net.onnx").write_bytes(data)
    (tmp_path / "spec.toml").write_text(SPEC.format(more=more))
    return verifex.verify(tmp_path / "net.onnx", tmp_path / "spec.toml")


def test_specs_say_that_whole_inputs_are_whole(tmp_path: Path, encoded: bytes) -> None:
    with pytest.raises(InputError, match=r'region.*takes whole numbers alone.*integer = \['):
        decided(tmp_path, encoded, "")
    with pytest.raises(InputError, match=r"takes whole numbers alone for x\[3\]"):
        decided(tmp_path, encoded, "integer = [0, 1, 2]")
    assert decided(tmp_path, encoded, 'integer = ["*"]').outcome.value == "proved"
    frozen = decided(tmp_path, encoded, 'integer = [0]\nfreeze = [1, 2, 3]')
    assert frozen.outcome.value == "proved"


def test_values_beyond_the_categories_are_outside(tmp_path: Path, encoded: bytes) -> None:
    """The encoder fails there, so no claim is about them."""
    wide = SPEC.replace("[3, 3, 3, 3]", "[4, 3, 3, 3]")
    (tmp_path / "net.onnx").write_bytes(encoded)
    (tmp_path / "spec.toml").write_text(wide.format(more='integer = ["*"]'))
    import verifex

    with pytest.raises(InputError, match=r"takes 0 to 3 for x\[0\], which reaches from 0 to 4"):
        verifex.verify(tmp_path / "net.onnx", tmp_path / "spec.toml")


@pytest.mark.parametrize(("more", "said"), [
    ("", "takes whole numbers alone"), ("integer = [0, 1, 2]", "takes whole numbers alone"),
    ('integer = ["*"]', ""),
])
def test_the_checker_says_the_same(
    tmp_path: Path, encoded: bytes, more: str, said: str
) -> None:
    """A proof over all real numbers is none: the file means another function between whole ones."""
    net = checker.Network(encoded)
    if said:
        with pytest.raises(checker.Bad, match=said):
            checker.read_spec(SPEC.format(more=more), str(tmp_path), net)
    else:
        assert checker.read_spec(SPEC.format(more=more), str(tmp_path), net).size == 4


DERIVATIVES = (
    '[explain]\n[[require]]\nsign = "unchanged"',
    '[[require]]\nmonotone = "increasing"\nfeature = 2',
    "[explain]\nfeatures = [1]\n[[require]]\ncomponent = 0\nat_least = -9",
)


@pytest.mark.parametrize("claim", DERIVATIVES)
def test_there_are_no_derivatives_by_whole_inputs(
    tmp_path: Path, encoded: bytes, claim: str
) -> None:
    """Between whole numbers the graph has slopes that the network has not."""
    more = f'integer = ["*"]\n{claim}'
    with pytest.raises(UnsupportedError, match="reads as a whole number"):
        decided(tmp_path, encoded, more)
    with pytest.raises(checker.Bad, match="derivative by a feature of whole numbers"):
        checker.read_spec(SPEC.format(more=more), str(tmp_path), checker.Network(encoded))


def test_a_query_cannot_say_that_inputs_are_whole(tmp_path: Path, encoded: bytes) -> None:
    import verifex

    (tmp_path / "net.onnx").write_bytes(encoded)
    ends = " ".join(f"(>= X_{k} 0) (<= X_{k} 3)" for k in range(4))
    text = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "X_2", "X_3", "Y_0")) + (
        f"(assert (and {ends} (>= Y_0 99)))")
    (tmp_path / "q.vnnlib").write_text(text)
    with pytest.raises(InputError, match="takes whole numbers alone"):
        verifex.verify(tmp_path / "net.onnx", tmp_path / "q.vnnlib")
    with pytest.raises(checker.Bad, match="takes whole numbers alone"):
        checker.read_query(text, checker.Network(encoded))


# --- what is refused ----------------------------------------------------------------------------


def alone(op: str, outputs: Sequence[str] = ("y",), inputs: Sequence[str] = ("x",),
          width: int = 2, domain: str = "ai.onnx.ml", kind: int = 1, **attributes: Any) -> bytes:
    node = helper.make_node(op, list(inputs), list(outputs), domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", kind, [1, width])],
        [helper.make_tensor_value_info(outputs[-1], 1, None)])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)])
    return bytes(model.SerializeToString())


LINEAR = {"coefficients": [0.5, -0.25], "intercepts": [0.125]}
TWO_ROWS = {"coefficients": [0.5, -0.25, 1, 2], "intercepts": [0.125, 0],
            "classlabels_ints": [0, 1]}
REFUSED = {
    "a norm": (alone("Normalizer", norm="L1"), "what is no probability"),
    "texts": (alone("OneHotEncoder", cats_strings=["a"]), "OneHotEncoder of texts"),
    "zeros replaced": (alone("Imputer", imputed_value_floats=[1.0]), "Imputer that replaces 0"),
    "integers replaced": (alone("Imputer", kind=7, imputed_value_int64s=[7], replaced_value_int64=1,
                                replaced_value_float=float("nan")), "Imputer of int64"),
    "a probit": (alone("LinearClassifier", ("l", "y"), **TWO_ROWS, post_transform="PROBIT"),
                 "post_transform PROBIT"),
    "zeros kept": (alone("LinearClassifier", ("l", "y"), **TWO_ROWS,
                         post_transform="SOFTMAX_ZERO"), "post_transform SOFTMAX_ZERO"),
    "a softmax of one row": (alone("LinearClassifier", ("l", "y"), **LINEAR,
                                   classlabels_ints=[0, 1], post_transform="SOFTMAX"),
                             "one row of coefficients"),
    "a transform": (alone("LinearRegressor", **LINEAR, post_transform="LOGISTIC"),
                    "post_transform LOGISTIC"),
    "coefficients": (alone("LinearRegressor", **LINEAR, width=3), "coefficient"),
    "fractions": (alone("LabelEncoder", keys_floats=[0.5], values_floats=[1.0]),
                  "keys that are no whole numbers"),
    "a support vector machine": (alone("SVMRegressor"), "SVMRegressor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(UnsupportedError if "coeff" not in name else InputError, match=words):
        load_bytes(data, "m.onnx")
    with pytest.raises(checker.Bad, match=r"unsupported|fit"):
        assert checker.Network(data).outputs


def test_texts_are_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedError, match="encodes texts is to be exported without that step"):
        load_bytes(alone("OneHotEncoder", cats_strings=["a"], kind=8), "m.onnx")


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC"])
def test_one_row_of_coefficients_is_the_second_class(post: str) -> None:
    data = alone("LinearClassifier", ("l", "y"), **LINEAR, classlabels_ints=[0, 1],
                 post_transform=post)
    graph, net = load_bytes(data, "m.onnx", outputs=["y"]), checker.Network(data)
    session = opened(data)
    for x in ([1.0, 2.0], [-0.5, 0.25], [3.0, -1.0]):
        same_on_both_sides(graph, net, x)
        node = graph.outputs["y"]
        mine = evaluate_float(graph, np.array([x]), [node])[node][0].ravel()
        (deployed,) = session.run(["y"], {"x": np.array([x], dtype=np.float32)})
        np.testing.assert_allclose(mine, deployed.ravel(), atol=1e-6)


def test_columns_side_by_side() -> None:
    node = helper.make_node("FeatureVectorizer", ["x", "z"], ["y"], domain="ai.onnx.ml",
                            inputdimensions=[2, 1])
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", 1, [1, 2]),
                      helper.make_tensor_value_info("z", 1, [1, 1])],
        [helper.make_tensor_value_info("y", 1, None)])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)])
    data = bytes(model.SerializeToString())
    same_on_both_sides(load_bytes(data, "m.onnx"), checker.Network(data), [1, 2, 3])


@pytest.mark.parametrize("shape", [[2], [1, 2, 1]])
def test_columns_of_one_axis_or_of_three_are_refused(shape: list[int]) -> None:
    """Of one axis the standard makes a row: a softmax along its first axis is 1 throughout."""
    graph = helper.make_graph(
        [helper.make_node("FeatureVectorizer", ["x"], ["r"], domain="ai.onnx.ml",
                          inputdimensions=[shape[-1]]),
         helper.make_node("Softmax", ["r"], ["y"], axis=0)],
        "g", [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, None)])
    data = bytes(helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]).SerializeToString())
    (deployed,) = ort.InferenceSession(data).run(
        None, {"x": np.array([3, 1], dtype=np.float32).reshape(shape)})
    assert (deployed == 1).all()
    with pytest.raises(UnsupportedError, match="FeatureVectorizer of shapes"):
        load_bytes(data, "m.onnx")
    with pytest.raises(checker.Bad, match="unsupported: no rows of columns"):
        assert checker.Network(data).outputs


def test_the_domain_has_operator_sets_of_its_own() -> None:
    """An operator of ai.onnx.ml is none of the standard's, nor the other way round."""
    scaler = {"offset": [0.0, 0.0], "scale": [1.0, 1.0]}
    for data in (alone("Scaler", domain="", **scaler), alone("Relu")):
        with pytest.raises(UnsupportedError):
            load_bytes(data, "m.onnx")
        with pytest.raises(checker.Bad, match="unsupported operator"):
            assert checker.Network(data).outputs


def test_a_claim_about_a_trained_model_is_certified(tmp_path: Path) -> None:
    data, _ = trained(Model(MODELS["ordinal"].build, MODELS["ordinal"].target,
                            MODELS["ordinal"].rows))
    verdict = decided(tmp_path, data, 'integer = ["*"]')
    assert verdict.outcome.value == "proved"
    low = SPEC.replace("-1000", "1000")
    (tmp_path / "spec.toml").write_text(low.format(more='integer = ["*"]'))
    import verifex

    refuted = verifex.verify(tmp_path / "net.onnx", tmp_path / "spec.toml")
    assert refuted.outcome.value == "refuted"
