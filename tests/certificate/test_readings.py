"""Files that readers could take for different things: the checker takes them as the rest of the
world does, or refuses them. Most cases here were once accepted for a claim that does not hold.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import checker_parts as checker
from verifex.errors import InputError, VerifexError
from verifex.problem.spec.build import load_problem

CLAIM = """
verifex = 1
[region]
box = {{ lo = {lo}, hi = {hi} }}
[[require]]
output = "logit:0"
at_most = 2
"""


def number(n: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def block(field: int, data: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(data)) + data


def whole(field: int, n: int) -> bytes:
    return number(field << 3) + number(n)


def weights(name: str, values: Any) -> bytes:
    stored = numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)
    return bytes(stored.SerializeToString())


def model(op: str, inputs: list[str], attributes: list[bytes], *stored: bytes,
          shape: tuple[int, ...] = (1, 2), after: bool = False) -> bytes:
    """A network of one operator, written byte by byte; `after`: flattened."""
    node = b"".join(block(1, name.encode()) for name in inputs)
    node += block(2, b"h" if after else b"y") + block(4, op.encode())
    node += b"".join(block(5, a) for a in attributes)
    graph = block(1, node) + block(2, b"g") + b"".join(block(5, s) for s in stored)
    if after:
        flat = helper.make_node("Flatten", ["h"], ["y"])
        graph += block(1, flat.SerializeToString())
    for field, name, dims in ((11, "x", shape), (12, "y", None)):
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
        graph += block(field, info.SerializeToString())
    return whole(1, 8) + block(8, helper.make_opsetid("", 17).SerializeToString()) + block(7, graph)


def answer(folder: Path, network: bytes, spec: str, *, name: str = "spec.toml",
           data: tuple[str, ...] = (), **head: Any) -> tuple[int, str]:
    """What the checker says to a proof of one leaf (or to the witness in `head`)."""
    files = [folder / "net.onnx", folder / name, folder / "p.vxc"]
    files[0].write_bytes(network)
    files[1].write_text(spec)
    line = {"vxc": 2, "network": digest(files[0]), "spec": digest(files[1]), **head}
    if data:
        line["data"] = {k: digest(folder / k) for k in data}
    leaf = "" if "witness" in head else '{"leaf":1}\n'
    files[2].write_text(json.dumps(line) + "\n" + leaf)
    return checker.check([str(f) for f in files])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def claim(lo: list[float], hi: list[float]) -> str:
    return CLAIM.format(lo=lo, hi=hi)


COLUMN = weights("w", [[1.0, 0.0], [1.0, 0.0]])
POOL = [block(1, b"kernel_shape") + whole(8, 2) + whole(20, 7),
        block(1, b"pads") + whole(8, 1) + whole(8, 0) + whole(20, 7)]
TWICE = (whole(1, 2) + whole(2, 1) + block(8, b"w")
         + block(4, np.array([100, 100], np.float32).tobytes()))


@pytest.mark.parametrize(
    "network",
    [
        model("Gemm", ["x", "w"], [block(1, b"transB") + block(3, b"\1") + whole(20, 2)], COLUMN),
        model("Gemm", ["x", "w"],
              [block(1, b"transB") + number((3 << 3) + (1 << 32)) + number(1) + whole(20, 2)],
              COLUMN),
        model("Gemm", ["x", "w"],
              [block(1, b"transB") + whole(3, 0) + whole(3, 1) + whole(20, 2)], COLUMN),
        model("AveragePool", ["x"],
              [*POOL, block(1, b"count_include_pad") + block(3, b"\1") + whole(20, 2)],
              shape=(1, 1, 2), after=True),
        model("Add", ["x", "w"], [], TWICE + number(9 << 3 | 1) + bytes(8)),
        model("Add", ["x", "w"], [], TWICE + block(9, bytes(8))),
        model("Add", ["x", "w"], [], whole(1, 2) + whole(2, 1) + block(8, b"w")
              + number(4 << 3 | 1) + bytes(8)),
        model("Gemm", ["x", "w"],
              [block(1, b"transB") + number(3 << 3) + bytes([128] * 10 + [1]) + whole(20, 2)],
              COLUMN),
    ],
    ids=["bytes for an integer", "a tag past 32 bits", "a field twice", "bytes for a flag",
         "fixed width for bytes", "numbers twice", "wide floats", "eleven bytes"],
)
def test_what_readers_take_differently_is_refused(tmp_path: Path, network: bytes) -> None:
    code, word = answer(tmp_path, network, claim([0, 0], [1, 5]))
    assert (code, word[:8]) == (65, "invalid:")


def test_integers_keep_their_order_packed_or_not(tmp_path: Path) -> None:
    """`perm` as packed (1), then 2 and 0: every protobuf reader says [1, 2, 0]."""
    mixed = block(1, b"perm") + block(8, number(1)) + whole(8, 2) + whole(8, 0) + whole(20, 7)
    network = model("Transpose", ["x"], [mixed], shape=(1, 2, 3))
    net = checker.Network(network)
    ((kept,),) = [net.outputs.values()]
    assert kept.shape == (2, 3, 1)


def run(op: str, inputs: list[str], *stored: Any, shape: tuple[int, ...] = (1, 2),
        after: tuple[Any, ...] = (), **attributes: Any) -> bytes:
    """A network as onnx writes it."""
    nodes = [helper.make_node(op, inputs, ["h" if after else "y"], **attributes), *after]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in (("x", shape), ("y", None))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], list(stored))
    return bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


FLT_MAX = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(("key", "value", "limit"), [(1, FLT_MAX, "at_most = 2"),
                                                     (2, -FLT_MAX, "at_least = -2")])
def test_a_clip_at_the_wrong_end_of_the_floats(
    tmp_path: Path, key: int, value: float, limit: str
) -> None:
    stored = numpy_helper.from_array(np.float32(value), "m")
    inputs = ["x", "m"] if key == 1 else ["x", "", "m"]
    spec = claim([0, 0], [1, 1]).replace("at_most = 2", limit)
    assert answer(tmp_path, run("Clip", inputs, stored), spec)[0] != 0


def test_a_clip_from_both_sides_is_named_as_in_the_package(tmp_path: Path) -> None:
    stored = [numpy_helper.from_array(np.float32(v), k) for k, v in (("a", -0.5), ("b", 0.5))]
    network = run("Clip", ["x", "a", "b"], *stored)
    net = checker.Network(network)
    graph = net.graph
    for t in net.outputs.values():
        t.solid()
    parts, *_ = [n.step.parts for n in graph.nodes if n.kind == "A" and len(n.args) == 2]
    arguments = [graph.nodes[part.argument].args[0] for part in parts]
    ends = sorted(graph.nodes[z].step.bias[0] for z in arguments)
    assert ends == [Fraction(-1, 2), Fraction(1, 2)]  # R of x + 1/2 and of x - 1/2


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_auto_pad_and_pads_together_are_refused(tmp_path: Path, op: str) -> None:
    network = run(op, ["x"], shape=(1, 1, 3), kernel_shape=[2], pads=[1, 0], auto_pad="VALID",
                  after=(helper.make_node("Flatten", ["h"], ["y"]),))
    assert answer(tmp_path, network, claim([0, 0, 0], [1, 5, 1]))[0] == 65


def test_division_of_whole_numbers_is_refused_where_readers_round_apart(tmp_path: Path) -> None:
    stored = [numpy_helper.from_array(np.array([v], np.int64), k) for k, v in (("a", -7), ("b", 2))]
    nodes = (helper.make_node("Mul", ["h", "b"], ["s"]), helper.make_node("Reshape", ["x", "s"],
                                                                          ["y"]))
    network = run("Div", ["a", "b"], *stored, shape=(1, 7), after=nodes)
    code, word = answer(tmp_path, network, claim([0] * 7, [1] * 7))
    assert code == 65
    assert "rounds below 0" in word


# --- data files ---------------------------------------------------------------------------------

POINT = """
verifex = 1
[input]
data = "d.csv"
row = 0
{more}
[region]
linf = 0.1
[[require]]
output = "logit:0"
at_most = 0.45
"""
SAME = run("Identity", ["x"])


@pytest.mark.parametrize(
    ("content", "more", "first"),
    [
        ("2/3,0.5\n0.1,0.9\n", 'names = ["a", "b"]', "2/3"),
        ("\ufeff0.9,0.5\n0.1,0.9\n", 'names = ["a", "b"]', "0.9"),
        ("9e-1,5e-999\n0.1,0.9\n", "", "0.9"),
        ("a,b\x0b0.1,0.2\n0.9,0.5\n0.1,0.9\n", "header = true\ndrop = []", "0.9"),
        ('a,b,"t\u2028c"\n0.9,0.5,x\n0.1,0.9,y\n', "drop = [2]", "0.9"),
        ("0.9,0.5\n0.1,0.9\n", "header = false", "0.9"),
        ("1e1001,0.5\n0.9,0.2\n0.1,0.9\n", "", "0.9"),
    ],
    ids=["a quotient", "a byte order mark", "exponents", "a vertical tab", "a line separator",
         "no header", "no number"],
)
def test_rows_of_data_are_those_that_the_package_takes(
    tmp_path: Path, content: str, more: str, first: str
) -> None:
    (tmp_path / "d.csv").write_bytes(content.encode())
    (tmp_path / "net.onnx").write_bytes(SAME)
    spec = POINT.format(more=more)
    code, word = answer(tmp_path, SAME, spec, data=("d.csv",))
    try:
        problem = load_problem(tmp_path / "spec.toml", tmp_path / "net.onnx")
    except InputError:
        assert code == 65, word  # nothing is certified that the package refuses
        return
    assert problem.region.lo[0] == checker.exact(first) - checker.exact("0.1")
    assert code == 1  # the claim does not hold at this row


def test_a_npy_point_is_read_exactly(tmp_path: Path) -> None:
    spec = POINT.format(more="").replace("d.csv", "d.npy")
    for kind in ("<f4", ">f8", "<f2", "<i8", "|u1"):
        for first, code in ((0, 0), (1, 1)):
            np.save(tmp_path / "d.npy", np.array([[first, 0], [7, 7]]).astype(kind))
            assert answer(tmp_path, SAME, spec, data=("d.npy",))[0] == code, kind
    np.save(tmp_path / "d.npy", np.asfortranarray(np.zeros((2, 2))))
    assert answer(tmp_path, SAME, spec, data=("d.npy",))[0] == 65


def test_a_certificate_names_the_data(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("0.1,0.5\n")
    spec = POINT.format(more="")
    assert answer(tmp_path, SAME, spec, data=("d.csv",)) == (0, "valid")
    assert answer(tmp_path, SAME, spec)[1].startswith("invalid: line 1: header: data")
    certificate = (tmp_path / "p.vxc").read_text()
    answer(tmp_path, SAME, spec, data=("d.csv",))
    certificate = (tmp_path / "p.vxc").read_text()
    (tmp_path / "d.csv").write_text("0.2,0.5\n")
    (tmp_path / "p.vxc").write_text(certificate)
    found = checker.check([str(tmp_path / k) for k in ("net.onnx", "spec.toml", "p.vxc")])
    assert found[1].startswith("invalid: line 1: header: data")


@pytest.mark.parametrize(("weights_", "fine"), [([1, 1, 0], False), ([2, 1, 1], False),
                                                ([2, 1, 0], True)])
def test_a_tie_for_the_second_place_is_refused(
    tmp_path: Path, weights_: list[int], fine: bool
) -> None:
    stored = numpy_helper.from_array(np.array([weights_], np.float32), "w")
    network = run("Gemm", ["x", "w"], stored, shape=(1, 1))
    spec = """
verifex = 1
[input]
point = [1]
[region]
linf = 0
[[require]]
output = "margin:predicted,runner_up"
at_least = 0
"""
    (tmp_path / "net.onnx").write_bytes(network)
    assert answer(tmp_path, network, spec)[0] == (0 if fine else 65)
    if fine:
        load_problem(tmp_path / "spec.toml", tmp_path / "net.onnx")
    else:
        with pytest.raises(VerifexError, match=r"one (second )?largest output"):
            load_problem(tmp_path / "spec.toml", tmp_path / "net.onnx")


# --- queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("", ""), 0),
        (("X_0 Real", "X_0 Int"), 65),
        (("(declare-const X_0 Real)", ""), 65),
        (("(declare-const X_0 Real)", "(declare-const X_0 Real)(declare-const X_0 Real)"), 65),
        (("X_0 Real", "Z_0 Real"), 65),
        (("(<= Y_0 1))", "(<= Y_0 1) (>= Y_0 5))"), 65),
        (("(assert (<= Y_0 1))", "(assert (and))"), 65),
    ],
)
def test_queries_mean_what_they_declare(
    tmp_path: Path, change: tuple[str, str], code: int
) -> None:
    query = ("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.1))"
             "(assert (<= X_0 0.9))(assert (<= Y_0 1))").replace(*change)
    network = run("Identity", ["x"], shape=(1, 1))
    assert answer(tmp_path, network, query, name="q.vnnlib", witness=["1/2"])[0] == code


# --- one certificate, several workers -----------------------------------------------------------


def test_workers_that_read_different_certificates_prove_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What each worker read is hashed on the way; two hashes are no proof."""
    files = [str(tmp_path / k) for k in ("net.onnx", "spec.toml", "p.vxc")]
    spec = claim([0, 0], [1, 1])
    assert answer(tmp_path, SAME, spec) == (0, "valid")
    first = checker.work(files, (0, 2))
    path = tmp_path / "p.vxc"
    path.write_text(path.read_text().replace('"leaf":1', '"leaf": 1'))
    second = checker.work(files, (1, 2))
    assert first[:2] == second[:2] == (0, "valid")
    assert first[2] != second[2]
    replies = iter([first, second])
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", lambda jobs: Pool(replies))
    assert checker.main([*files, "--jobs", "2"]) == 1
    assert "changed while it was read" in capsys.readouterr().out


class Pool:
    """Stands for a pool of processes that answer as told."""

    def __init__(self, replies: Any) -> None:
        self.replies = replies

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, *_: object) -> list[Any]:
        return list(self.replies)


# --- hostile sizes ------------------------------------------------------------------------------


def chain(op: str, count: int, inputs: int = 2) -> bytes:
    stored = numpy_helper.from_array(np.array([0.75], np.float32), "c0")
    nodes = [helper.make_node(op, [f"c{k}"] * inputs, [f"c{k + 1}"]) for k in range(count)]
    nodes.append(helper.make_node("Add", ["x", f"c{count}"], ["y"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in (("x", (1, 2)), ("y", None))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [stored])
    return bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def test_constants_do_not_grow_without_end(tmp_path: Path) -> None:
    """Squared sixty times, a number of two digits would have more than memory holds."""
    code, word = answer(tmp_path, chain("Mul", 60), claim([0, 0], [1, 1]))
    assert (code, "digits" in word) == (65, True)


def test_long_chains_of_operators_are_read(tmp_path: Path) -> None:
    network = chain("Identity", 3000, 1)
    assert answer(tmp_path, network, claim([0, 0], [0.5, 1])) == (0, "valid")


def test_long_lists_of_multipliers_take_linear_time(tmp_path: Path) -> None:
    """Quadratic time would be hours, and the test be stopped."""
    spec = claim([0, 0], [0.5, 1])
    assert answer(tmp_path, SAME, spec) == (0, "valid")
    path = tmp_path / "p.vxc"
    head = path.read_text().splitlines()[0]
    bound = json.dumps({"bound": -1, "splits": [[0, 1, 0]] * 400_000})
    unit = json.dumps({"input": [0, "1/4"]})
    path.write_text("\n".join([head, bound, unit, '{"leaf":1}', '{"leaf":1}', ""]))
    said = checker.check([str(tmp_path / k) for k in ("net.onnx", "spec.toml", "p.vxc")])
    assert said == (1, "invalid: line 4: no split 0")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
