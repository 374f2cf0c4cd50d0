"""The independent checker: its text, the worked example, what it refuses, and what it derives."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import json
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.helpers.checker_nets import (
    CHECKER,
    ROOT,
    agree,
    ck,
    claim_of,
    save_graph,
    save_net,
)
from verifex.problem.spec.build import load_problem

FORMAT = (ROOT / "verifex" / "certificate" / "format.md").read_text(encoding="utf-8")


# --- the text -----------------------------------------------------------------------------------

ALLOWED = {
    "__future__", "base64", "collections", "concurrent", "contextlib", "csv", "decimal", "fnmatch",
    "fractions", "functools", "gzip", "hashlib", "importlib", "io", "itertools", "json", "math",
    "operator", "os", "pathlib", "re",
    "struct", "sys", "tomllib", "typing", "zlib",
}
FRACTIONS = {"Fraction(2)"}
WHOLE_MATHS = {"ceil", "floor", "gcd", "isqrt", "lcm", "prod", "trunc"}


def _trees() -> Iterator[ast.AST]:
    for path in sorted(CHECKER.rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8"), path.name))


def test_checker_has_no_float_arithmetic() -> None:
    for node in _trees():
        at = f"line {getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float | complex), at
        if isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), at
        if isinstance(node, ast.Name):
            assert node.id not in ("float", "complex", "eval", "exec"), at
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "math" or node.attr in WHOLE_MATHS, at


def test_checker_raises_only_fractions_to_negative_powers() -> None:
    """An integer to a negative power would be a float: each such base is known as a Fraction."""
    for node in _trees():
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            exponent = ast.unparse(node.right)
            base = ast.unparse(node.left)
            if exponent.startswith("-") or exponent == "e":
                assert base in FRACTIONS, f"line {node.lineno}: {base} ** {exponent}"


def test_checker_imports_the_standard_library_only() -> None:
    for node in _trees():
        if isinstance(node, ast.Import):
            assert {a.name.split(".")[0] for a in node.names} <= ALLOWED
        if isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".")
            assert node.level or parts[0] in ALLOWED


# --- the worked example -------------------------------------------------------------------------


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", FORMAT, re.DOTALL)


class Files:
    """The example of format.md on disk, with lines that tests change."""

    def __init__(self, folder: Path) -> None:
        self.network = save_net(
            folder / "net.onnx", [([[2, 1], [1, -1]], [0, -0.5]), ([[1, -1]], [0])]
        )
        self.spec = folder / "spec.toml"
        self.spec.write_text(blocks("toml")[0], encoding="utf-8")
        self.proof = folder / "proof.vxc"
        self.lines: list[Any] = [json.loads(line) for line in blocks("json")[0].splitlines()]

    def hashes(self) -> dict[str, str]:
        return {
            key: hashlib.sha256(path.read_bytes()).hexdigest()
            for key, path in (("network", self.network), ("spec", self.spec))
        }

    def write(self, lines: list[Any] | None = None, *, hashed: bool = True) -> None:
        lines = self.lines if lines is None else lines
        head = {**lines[0], **(self.hashes() if hashed else {})}
        text = "".join(json.dumps(line) + "\n" for line in [head, *lines[1:]])
        self.proof.write_text(text, encoding="utf-8")

    def check(self) -> tuple[int, str]:
        found: tuple[int, str] = ck.check([str(self.network), str(self.spec), str(self.proof)])
        return found

    def run(self, *more: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(CHECKER), str(self.network), str(self.spec),
             str(self.proof), *more], capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        return done.returncode, done.stdout.strip()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_worked_example_is_valid(files: Files) -> None:
    files.write()
    assert files.run() == (0, "valid")
    assert files.run("--jobs", "2") == (0, "valid")
    plain = files.proof.read_bytes()
    files.proof.write_bytes(gzip.compress(plain))
    assert files.run() == (0, "valid")


def test_worked_example_needs_its_multipliers(files: Files) -> None:
    """Each of the three multipliers of the example is what closes the leaf."""
    for key, value in (("p", {"R0": "gAA=", "S0": "AAA="}), ("p", {"R0": "AAA=", "S0": "gAA="}),
                       ("z", []), ("z", [[0, 255, -8]])):
        lines = [*files.lines[:2], {**files.lines[2], key: value}, *files.lines[3:]]
        files.write(lines)
        assert files.check() == (1, "invalid: line 4: leaf 0 does not close")


def test_bound_of_the_example_is_exactly_zero(files: Files) -> None:
    """The claim with a threshold a hair above what holds cannot be shown by the same proof."""
    files.spec.write_text(files.spec.read_text().replace("-0.5", "-0.4999999999"), encoding="utf-8")
    files.write()
    assert files.check() == (1, "invalid: line 4: leaf 0 does not close")


def changed(at: int, **keys: Any) -> Any:
    return lambda lines: [*lines[:at], {**lines[at], **keys}, *lines[at + 1 :]]


REFUSED: dict[str, tuple[Any, int, str]] = {
    "version": (changed(0, vxc=2), 1, "version"),
    "unknown header key": (changed(0, extra=1), 1, "unknown key"),
    "other nodes": (changed(0, nodes={"R": [3], "S": [2], "G": [2], "M": []}), 1, "nodes"),
    "other atoms": (changed(0, atoms=2), 1, "atoms"),
    "slope 129/128": (changed(2, p={"R0": base64.b64encode(bytes([129, 0])).decode()}), 1, "range"),
    "too many bytes": (changed(2, p={"R0": base64.b64encode(bytes(3)).decode()}), 1, "range"),
    "no base64": (changed(2, p={"R0": "g A="}), 1, "malformed"),
    "unknown node": (changed(2, p={"R1": "gAA="}), 1, "no node"),
    "unknown kind": (changed(2, p={"Q0": "gAA="}), 1, "no node Q"),
    "negative multiplier": (changed(2, z=[[0, -1, 0]]), 1, "range"),
    "huge multiplier": (changed(2, z=[[0, 1, 10**9]]), 1, "range"),
    "multiplier of no split": (changed(2, z=[[1, 1, 0]]), 1, "no multiplier z"),
    "multiplier of no row": (changed(2, r=[[0, 1, 0]]), 1, "no multiplier r"),
    "no such atom": (changed(2, b=1), 1, "no atom"),
    "split of no unit": (changed(1, s=["G", 0, 1]), 1, "no unit"),
    "split of no element": (changed(1, s=["R", 0, 2]), 1, "no element"),
    "split of another unit": (changed(1, s=["R", 0, 0]), 1, "leaf 1"),
    "unknown line": (changed(1, q=1), 1, "keys"),
    "fact of no argument": (lambda s: [s[0], {"f": ["G", 0, 2, 0, 1]}, *s[1:]], 1, "no argument"),
    "fact's sign": (lambda s: [s[0], {"f": ["R", 0, 0, 0, 2]}, *s[1:]], 1, "sign"),
    "bound dropped": (lambda s: [*s[:2], *s[3:]], 1, "leaf 0"),
    "leaf doubled": (lambda s: [*s, {"l": 1}], 1, "after the end"),
    "leaf dropped": (lambda s: s[:-1], 2, "nodes to come"),
    "leaves open": (changed(3, l=0), 2, "1 leaves are open"),
    "no tree": (lambda s: s[:1], 2, "no tree"),
    "just a leaf": (lambda s: [s[0], {"l": 1}], 1, "leaf 0"),
    "no such part": (lambda s: [s[0], {"t": [1]}, *s[1:]], 1, "no part"),
    "second split on one unit": (lambda s: [*s[:4], s[1], *s[4:]], 1, "leaf 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_certificates_are_refused(files: Files, name: str) -> None:
    change, code, words = REFUSED[name]
    files.write(change(files.lines))
    found = files.check()
    assert found[0] == code
    assert words in found[1]


def test_input_splits_and_parts(files: Files) -> None:
    """Splitting x0 at 1/4 closes the lower side by intervals; trees may name their parts."""
    tree = [{"x": [0, "1/4"]}, *files.lines[1:], {"l": 1}]
    files.write([files.lines[0], *tree])
    assert files.check() == (0, "valid")
    files.write([files.lines[0], {"t": [0]}, *tree])
    assert files.check() == (0, "valid")
    files.write([files.lines[0], {"x": [0, "3/4"]}, *files.lines[1:], {"l": 1}])
    assert files.check() == (1, "invalid: line 7: leaf 2 does not close")


def test_every_part_needs_a_tree(files: Files) -> None:
    files.spec.write_text(
        files.spec.read_text() + "[[require]]\ncomponent = 1\nat_most = 5\n", encoding="utf-8"
    )
    head = {"vxc": 1}
    first = [{"t": [0]}, *files.lines[1:]]
    files.write([head, *first])
    assert files.check() == (2, "incomplete: a part has no tree")
    files.write([head, *first, {"t": [1]}, {"l": 1}])
    assert files.check() == (0, "valid")


def test_empty_domains_close(files: Files) -> None:
    """z1 >= 0 and z0 <= 0 exclude each other: 2 (z1 >= 0) + (z0 <= 0) bounds the form 0 by 1."""
    split = [{"s": ["R", 0, 1]}, {"s": ["S", 0, 0]}, {"l": 1}]
    empty = [{"b": -1, "z": [[0, 1, 1], [1, 1, 0]]}, {"l": 1}, {"l": 1}]
    files.write([{"vxc": 1}, *split, *empty])
    assert files.check() == (0, "valid")
    files.write([{"vxc": 1}, *split, {"b": -1, "z": [[0, 1, 0], [1, 1, 0]]}, *empty[1:]])
    assert files.check() == (1, "invalid: line 6: leaf 1 does not close")


def test_facts_replace_multipliers(files: Files) -> None:
    """On z1 >= 0 a fact shows z0 >= 1, so that s0 = 1 there."""
    fact = {"f": ["R", 0, 0, 0, 1], "z": [[0, 1, 1]]}
    files.write([{"vxc": 1}, files.lines[1], fact, {"l": 1}, {"l": 1}])
    assert files.check() == (0, "valid")
    weak = {"f": ["R", 0, 0, 0, 1], "z": [[0, 1, -3]]}
    files.write([{"vxc": 1}, files.lines[1], weak, {"l": 1}, {"l": 1}])
    assert files.check()[0] == 1


# --- other files, other bytes -------------------------------------------------------------------


@pytest.mark.parametrize("key", ["network", "spec"])
def test_certificates_name_their_files(files: Files, key: str) -> None:
    files.write()
    path: Path = getattr(files, key)
    path.write_bytes(path.read_bytes() + (b"\n" if key == "spec" else b"\x08\x08"))
    assert files.check() == (1, f"invalid: line 1: header: {key}: the hash of another file")


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not utf-8": b'{"vxc":1,"note":"\xff"}\n',
    "deep": b"[" * 100_000,
    "a list": b"[1]\n",
    "float": b'{"vxc":1.0}\n',
    "NaN": b'{"vxc":NaN}\n',
    "long number": b'{"vxc":' + b"9" * 10_000 + b"}\n",
    "cut gzip": gzip.compress(b'{"vxc":1}\n' * 1000)[:40],
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_one_line(files: Files, name: str) -> None:
    files.proof.write_bytes(GARBAGE[name])
    code, word = files.run()
    assert code in (1, 65)
    assert word.startswith("invalid: ")


def test_unreadable_files(files: Files) -> None:
    code, word = files.run()
    assert (code, word.startswith("invalid: ")) == (65, True)


def test_damaged_networks_and_specs_are_one_line(files: Files) -> None:
    rng = random.Random(5)
    for path, text in ((files.network, files.network.read_bytes()),
                       (files.spec, files.spec.read_bytes())):
        for _ in range(60):
            data = bytearray(text)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            most = rng.randint(1, len(data)) if rng.random() < 0.3 else len(data)
            path.write_bytes(bytes(data[:most]))
            files.write()
            code, word = files.check()
            assert code in (0, 1, 65)
            assert word == "valid" or (word.startswith("invalid: ") and "\n" not in word)
        path.write_bytes(text)


def test_unsupported_operators_are_named(tmp_path: Path) -> None:
    files = Files(tmp_path)
    node = helper.make_node("Sigmoid", ["x"], ["y"])
    save_graph(files.network, [node], [], [1, 2], "y", [1, 2])
    files.write()
    assert files.check() == (65, "invalid: net.onnx: unsupported operator Sigmoid for 'y'")


# --- witnesses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "answer"), [
    (["-1/2", "0"], "invalid: line 1: witness: the claim holds there"),
    (["1", "1/4"], "valid (refutation)"),
    (["1", "1/2"], "invalid: line 1: witness: on a kink"),
    (["3", "0"], "invalid: line 1: witness: outside the region"),
    (["1"], "invalid: line 1: witness: another length"),
])
def test_witnesses(files: Files, point: list[str], answer: str) -> None:
    """df/dx0 > 3/2 fails where s1 = 1: at (1, 1/4) it is 1."""
    text = files.spec.read_text().replace("at_least = -0.5", "any = [{component = 0, above = 1.5}]")
    files.spec.write_text(text.replace("component = 0\n", ""), encoding="utf-8")
    files.write([{"vxc": 1, "witness": point}])
    if point == ["-1/2", "0"]:  # both gates shut: the derivative is 0 and the claim fails too
        answer = "valid (refutation)"
    assert files.check()[1] == answer


def test_witness_must_break_the_claim(files: Files) -> None:
    files.write([{"vxc": 1, "witness": ["1", "1/4"]}])
    assert files.check() == (1, "invalid: line 1: witness: the claim holds there")
    files.write([{"vxc": 1, "witness": ["1", "1/4"]}, {"l": 1}])
    assert files.check() == (1, "invalid: line 2: lines after a witness")


# --- VNN-LIB ------------------------------------------------------------------------------------

QUERY = """; f <= 3 on the box, in two parts
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (or (and (>= X_0 -1) (<= X_0 0)) (and (>= X_0 0) (<= X_0 1))))
(assert (>= X_1 0)) (assert (<= X_1 2.0))
(assert (>= (+ Y_0 (* 2 X_1) -6.0) %s))
"""


def test_vnnlib(files: Files) -> None:
    files.spec = files.spec.with_suffix(".vnnlib")
    for bound, code in (("2.001", 0), ("2", 1), ("1.999", 1)):
        files.spec.write_text(QUERY % bound, encoding="utf-8")
        files.write([{"vxc": 1}, {"b": 6}, {"l": 1}])
        assert files.check()[0] == code, bound
    files.write([{"vxc": 1, "witness": ["1", "2"]}])
    assert files.check() == (0, "valid (refutation)")
    files.spec.write_text((QUERY % "0").replace("(<= X_1 2.0)", "(<= Y_0 9)"), encoding="utf-8")
    files.write([{"vxc": 1}, {"l": 1}])
    assert files.check() == (65, "invalid: spec.vnnlib: an input is unbounded")


# --- the same claim, exactly --------------------------------------------------------------------


LIBRARY = sorted((ROOT / "specs" / "library").glob("*.toml"))


@pytest.mark.parametrize("spec", LIBRARY, ids=lambda p: p.stem)
def test_library_specs_mean_the_same(spec: Path) -> None:
    agree(spec.parent / tomllib.loads(spec.read_text())["network"], spec)


@pytest.mark.parametrize("name", ["adult", "german"])
@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
def test_tabular_networks_mean_the_same(
    shared_data: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = shared_data / "attribution_models" / "openxai"
    data, train = (folder / "data" / f"{name}-{part}.csv.gz" for part in ("test", "train"))
    extra = 'round = "float32"' if kind == "gradient" else ""
    with gzip.open(data, "rt") as rows:
        *_, frozen, target = rows.readline().strip().split(",")
    spec = tmp_path / "spec.toml"
    spec.write_text(f"""
verifex = 1
region = {{ linf = 0.05, clip = [0, 1], freeze = "{frozen}" }}
explain = {{ attribution = "{kind}", reduce = "abs" }}
require = [{{ top_k = 3 }}, {{ distance = "l2", at_most = 0.5 }}, {{ class = "unchanged" }}]
[input]
data = "{data}"
minmax_of = "{train}"
row = 7
target = "{target}"
{extra}
""", encoding="utf-8")
    agree(folder / "onnx" / f"{name}_ann.onnx", spec, points=1)


def test_convolutional_network_means_the_same(tmp_path: Path) -> None:
    """Conv, MaxPool, AveragePool, LeakyRelu, a residual sum and an input of rank 4."""
    rng = np.random.default_rng(4)
    stored = [numpy_helper.from_array((rng.integers(-8, 9, s) / 8).astype(np.float32), n)
              for n, s in (("K", (2, 1, 3, 3)), ("k", (2,)), ("L", (2, 2, 1, 1)), ("W", (8, 3)))]
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "K", "k"], ["c"], pads=[1, 1, 1, 1]), make("Relu", ["c"], ["r"]),
        make("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["m", "L"], ["d"]), make("LeakyRelu", ["d"], ["e"], alpha=0.125),
        make("Add", ["e", "m"], ["s"]),
        make("AveragePool", ["s"], ["a"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        make("Flatten", ["a"], ["f"]), make("MatMul", ["f", "W"], ["y"]),
    ]
    network = save_graph(tmp_path / "conv.onnx", nodes, stored, [1, 1, 4, 4], "y", [1, 3])
    spec = tmp_path / "spec.toml"
    point = [round(float(v), 3) for v in rng.random(16)]
    spec.write_text(f"""
verifex = 1
input = {{ point = {point} }}
region = {{ linf = 0.1 }}
[explain]
attribution = "input_x_gradient"
output = "margin:predicted,runner_up"
[[require]]
distance = "l1"
at_most = 1
[[require]]
mass = ["x[0]", 5, "x?1?*"]
at_least = "1/7"
[[require]]
similarity = "cosine"
at_least = 0.5
""", encoding="utf-8")
    agree(network, spec)


RULES = """
verifex = 1
kink = "zero"
input = { point = [0.25, 0.5, 0.75], names = ["a", "b", "c d"] }
[region]
linf = { "*" = 0.125, a = "1/3" }
clip = [0, 1]
linear = ['a + 2*b - x["c d"] <= 1.5', "0.1 <= x[1] <= 0.9"]
[explain]
attribution = "input*gradient"
output = { weights = [1, "-1/3", 0.5] }
features = ["a", "b"]
[[assume]]
class = 1
[[require]]
any = [
  { distance = "linf", at_most = 0.5, relative = true }, { not = { component = "a", above = 1 } },
]
[[require]]
all = [
  { sign = "unchanged", which = ["a"], zero = "ignore" }, { order = "unchanged" },
  { monotone = "increasing", feature = "a", output = "logit:0" }, { output = "sum", below = 9 },
  { order = ["a", "c d"] }, { top_k = 1 }, { mass = "a", at_most = 0.5, above = 0.25 },
]
"""


def test_every_kind_of_rule_means_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    shapes = [(5, 3), (4, 5), (3, 4)]
    layers = [(rng.integers(-9, 10, s) / 8, rng.integers(-4, 5, s[0]) / 16) for s in shapes]
    network = save_net(tmp_path / "net.onnx", layers)
    spec = tmp_path / "spec.toml"
    spec.write_text(RULES, encoding="utf-8")
    agree(network, spec)
    problem, checker = load_problem(spec, network), claim_of(network, spec)
    rows = [(dict(r.coefs), -r.rhs) for r in problem.region.rows]
    mine = [({i: c for (_, i), c in refs.items()}, const) for refs, const in checker.claim.cuts]
    assert mine == rows


GATES = """
verifex = 1
kink = "zero"
input = { point = [0.25, 0.5, 0.75] }
[region]
linf = 0.125
linear = ["2*x[0] - x[1]/2 <= -x[2] * 0.5 + 1e1", "-1e-1 <= x[0, 1] - x[ 2 ] + 1"]
[explain]
attribution = "ATTRIBUTION"
output = "logit:0"
[[require]]
distance = "l1"
at_most = 1
"""


@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
def test_gates_and_products_of_a_file_mean_the_same(tmp_path: Path, kind: str) -> None:
    """y = relu(u) v + [u > v] w + ...: derivatives pass through gates and products."""
    make = helper.make_node
    weights = np.arange(9, dtype=np.float32).reshape(3, 3) / 8 - np.float32(0.4)
    stored = [numpy_helper.from_array(weights, "W"),
              numpy_helper.from_array(np.ones((3, 1), np.float32), "V")]
    nodes = [
        make("MatMul", ["x", "W"], ["u"]), make("Relu", ["u"], ["r"]),
        make("Greater", ["u", "x"], ["b"]), make("Cast", ["b"], ["g"], to=1),
        make("Less", ["x", "r"], ["b2"]), make("Cast", ["b2"], ["g2"], to=1),
        make("Mul", ["g", "r"], ["p"]), make("Mul", ["r", "x"], ["m"]),
        make("Mul", ["x", "g2"], ["n"]), make("Add", ["p", "m"], ["s"]),
        make("Add", ["s", "n"], ["t"]), make("MatMul", ["t", "V"], ["y"]),
    ]
    network = save_graph(tmp_path / "gates.onnx", nodes, stored, [1, 3], "y", [1, 1])
    spec = tmp_path / "spec.toml"
    spec.write_text(GATES.replace("ATTRIBUTION", kind), encoding="utf-8")
    agree(network, spec)


@pytest.mark.parametrize("reduce", ["channel_sum", "abs_channel_sum", "channel_abs_sum", "abs"])
def test_sums_over_channels_mean_the_same(tmp_path: Path, reduce: str) -> None:
    rng = np.random.default_rng(5)
    stored = [numpy_helper.from_array((rng.integers(-8, 9, s) / 8).astype(np.float32), n)
              for n, s in (("K", (2, 2, 2, 2)), ("W", (8, 2)))]
    make = helper.make_node
    nodes = [make("Conv", ["x", "K"], ["c"]), make("Relu", ["c"], ["r"]),
             make("Flatten", ["r"], ["f"]), make("MatMul", ["f", "W"], ["y"])]
    network = save_graph(tmp_path / "conv.onnx", nodes, stored, [1, 2, 3, 3], "y", [1, 2])
    np.save(tmp_path / "x.npy", rng.random((2, 2, 3, 3)).astype(np.float32))
    np.save(tmp_path / "mask.npy", np.arange(9 if "channel" in reduce else 18) % 2)
    spec = tmp_path / "spec.toml"
    spec.write_text(f"""
verifex = 1
input = {{ data = "x.npy", row = 1 }}
region = {{ linf = 0.1, freeze = ["x[1, 2, 2]"] }}
[explain]
output = "logit:1"
reduce = "{reduce}"
[[require]]
mass = {{ file = "mask.npy" }}
at_least = "1/9"
[[require]]
order = ["x[{'0, ' if reduce == 'abs' else ''}2, 2]", 0]
""", encoding="utf-8")
    agree(network, spec)


# --- bounds are bounds --------------------------------------------------------------------------


def random_checker(rng: random.Random, folder: Path) -> Any:
    widths = [rng.randint(2, 3), rng.randint(2, 5), rng.randint(2, 4), 2]
    layers = [
        ([[rng.randint(-12, 12) / 8 for _ in range(n)] for _ in range(m)],
         [rng.randint(-8, 8) / 8 for _ in range(m)])
        for n, m in pairwise(widths)
    ]
    network, spec = save_net(folder / "net.onnx", layers), folder / "spec.toml"
    kind = rng.choice(["gradient", "input_x_gradient"])
    spec.write_text(f"""
verifex = 1
kink = "zero"
input = {{ point = {[rng.randint(-9, 9) / 10 for _ in range(widths[0])]} }}
region = {{ linf = "{rng.choice(['1/2', '1/3', '1/10', '0.7'])}", linear = "x[0] - 2*x[1] <= 5" }}
explain = {{ attribution = "{kind}", output = "margin:0,1" }}
require = [{{ distance = "l2", at_most = 1 }}, {{ distance = "l1", at_most = 1 }},
           {{ similarity = "cosine", at_least = 0.1 }}]
""", encoding="utf-8")
    return claim_of(network, spec)


def random_line(rng: random.Random, checker: Any, units: int) -> dict[str, Any]:
    """Multipliers of any kind within their ranges."""
    params = {}
    for key, kind in (("R", "R"), ("S", "S"), ("G", "G"), ("H", "G"), ("M", "M"), ("N", "M")):
        for n, node in enumerate(checker.named[kind]):
            if rng.random() < 0.7:
                values = bytes(rng.choice([0, 128, rng.randint(0, 128)])
                               for _ in range(checker.graph.nodes[node].size))
                params[f"{key}{n}"] = base64.b64encode(values).decode()
    chosen = [j for j in range(units) if rng.random() < 0.7]
    splits = [[j, rng.randint(0, 9), rng.randint(-3, 1)] for j in chosen]
    return {"p": params, "z": splits, "r": [[0, rng.randint(0, 3), -1]]}


def some_domain(rng: random.Random, checker: Any, values: dict[Any, Fraction], x: Any) -> Any:
    """A domain that holds the point: units split by their signs there, perhaps an input cut."""
    graph, claim, domain = checker.graph, checker.claim, checker.root
    share = rng.choice([0, 0, 0.3])
    for n in checker.named["S"]:
        z = graph.nodes[n].args[0]
        for i in range(graph.nodes[z].size):
            if rng.random() < share:
                domain = domain.split(z, i, 1 if values[z, i] > 0 else -1)
    if rng.random() < 0.3:
        i = rng.randrange(claim.size)
        node = next(iter(claim.flat[i][0]))[0]
        domain = domain.split(node, i, 1, x[i] + Fraction(rng.randint(-5, 0), 7))
    return domain


@pytest.mark.slow
def test_bounds_hold_at_every_point(tmp_path: Path) -> None:
    """Random networks, splits that a point satisfies, any multipliers: all bounds hold there."""
    rng, done = random.Random(11), 0
    for _ in range(60):
        try:
            checker = random_checker(rng, tmp_path)
        except ck.Bad:
            continue  # the attribution is zero at the reference: it has no direction
        done += 1
        graph, claim, unit = checker.graph, checker.claim, checker.scale.unit
        nodes = sorted(graph.nodes[checker.top].cone)
        cells = [(n, i) for n in nodes for i in range(graph.nodes[n].size)]
        for _ in range(8):
            ends = [[a, b, (a + 2 * b) * Fraction(1, 3)]
                    for a, b in zip(claim.lo, claim.hi, strict=True)]
            x = [rng.choice([*e, *e[:2]]) for e in ends]
            # A gate on its kink is shut in these values.
            exact = [v for n in nodes for v in ck.exactly(graph, n, x, True)]
            values = dict(zip(cells, exact, strict=True))
            domain = some_domain(rng, checker, values, x)
            for (n, i), value in values.items():
                low, high = domain.get(n)
                assert low[i] <= value * unit <= high[i]
            for n, i in rng.sample(cells, min(12, len(cells))):
                sign = rng.choice([1, -1])
                line = random_line(rng, checker, len(domain.units))
                low = checker.bound(domain, [(n, i, sign << ck.F)], 1, line)
                assert low <= sign * values[n, i] * (unit << ck.F)
            for k, (form, _) in enumerate(checker.atoms):
                line = random_line(rng, checker, len(domain.units))
                terms = [(checker.top, k, -1 << ck.F)]
                low = checker.bound(domain, terms, checker.factors[k], line)
                value = sum((c * values[r] for r, c in form[0].items()), form[1])
                assert low <= -value * checker.factors[k] * (unit << ck.F)
    assert done >= 40


def test_an_interval_is_rounded_outward() -> None:
    """A third of one unit lies between none and one."""
    graph = ck.NetworkGraph()
    n = graph.node("I", (), 1, 0, "x")
    third = graph.rows([({(n, 0): Fraction(1, 3)}, Fraction(0))])
    for x, ends in ((1, (0, 1)), (-1, (-1, 0)), (3, (1, 1)), (4, (1, 2))):
        domain = ck.SubRegion(ck.Scale(graph, 1, 1, 0, False, {}, {}, ()), ([x], [x]))
        assert domain.get(third) == ([ends[0]], [ends[1]])


@pytest.mark.parametrize("bad", [3, 16, 20])
def test_every_worker_checks_its_leaves(tmp_path: Path, bad: int) -> None:
    """Of two workers exactly one sees that leaf `bad` does not close: x >= 1 is not implied."""
    files = Files(tmp_path)
    save_graph(files.network, [helper.make_node("Identity", ["x"], ["y"])], [], [1, 1], "y", [1, 1])
    cuts = [Fraction(50 - k, 10) for k in range(1, 24)]
    cuts = [c if k < bad else Fraction(1, 2) - Fraction(k, 1000) for k, c in enumerate(cuts)]
    files.spec.write_text('verifex = 1\n[region]\nbox = { lo = [0.25], hi = [9] }\n[[require]]\n'
                          'output = "logit:0"\nat_least = 1\n', encoding="utf-8")
    lines: list[Any] = []
    for at in cuts[: bad + 1]:
        lines += [{"x": [0, str(at)]}, {"l": 1}]
    files.write([{"vxc": 1}, *lines, {"l": 1}])
    names = [str(files.network), str(files.spec), str(files.proof)]
    answers = [ck.work(names, (k, 2))[0] for k in range(2)]
    assert answers == ([1, 0] if bad < 16 else [0, 1])


def _matrix(rng: random.Random) -> tuple[list[dict[int, int]], int]:
    """Rows of a random matrix, some of them sparse, with short and long entries and with zeros."""
    height, width = rng.randint(1, 12), rng.randint(1, 12)
    dense, size = rng.choice((0.1, 0.5, 1.0)), rng.choice((1, 30, 33, 70, 200))
    rows = [{i: rng.randint(-(1 << size), 1 << size) for i in range(width) if rng.random() < dense}
            for _ in range(height)]
    return [{i: v for i, v in row.items() if v} for row in rows], width


def test_products_with_a_matrix_are_exact() -> None:
    """In lanes or row by row, also at the largest sums that a lane has to hold, and for zeros."""
    rng, lanes, single = random.Random(5), 0, 0
    for _ in range(600):
        rows, width = _matrix(rng)
        table = ck.PackedRows([ck.packed(row, width) for row in rows], width)
        for size in (0, 1, 31, 32, 33, 64, 150):
            top = (1 << size) - 1
            row = rng.choice(rows)
            for x in ([rng.randint(-top, top) for _ in range(width)], [0] * width,
                      [top if row.get(i, 1) > 0 else -top for i in range(width)],
                      [-top if row.get(i, 1) > 0 else top for i in range(width)],
                      [rng.choice((0, top)) for _ in range(width)]):
                wanted = [sum(v * x[i] for i, v in row.items()) for row in rows]
                assert table.times(x) == wanted
                zero = [rng.random() < 0.3 for _ in rows]
                skip = [0] * len(rows), [int(not z) for z in zero]
                assert table.times(x, skip) == [0 if z else w for z, w in zip(zero, wanted)]
        lanes, single = lanes + table.dense, single + (not table.dense)
    assert min(lanes, single) > 50
