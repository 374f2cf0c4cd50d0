"""Each kind of misreading that was found, with its right value, and relatives of it.

The small files are written here; the first test of a section is the case itself.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifex import checker
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.errors import InputError, VerifexError
from verifex.frontend.export import to_onnx
from verifex.ir.formula import holds, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.problem.build import load_problem
from verifex.problem.raw_query import raw_query
from verifex.problem.vnnlib import load_stated
from verifex.semantics.evaluate import evaluate_exact

F = Fraction
Point = Sequence[Fraction]


def identity(size: int) -> Graph:
    b = Builder()
    shape = (1, size)
    return b.build({"y": b.affine(dense(np.eye(size), shape, shape), b.input("x", shape))})


class Case:
    """A folder with a network and a spec or query, and what both sides make of it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.network, self.spec = folder / "n.onnx", folder / "s.toml"
        self.network.write_bytes(to_onnx(identity(size)))

    def write(self, text: str | bytes, name: str = "s.toml", **files: str | bytes) -> Case:
        self.spec = self.folder / name
        for path, data in ((self.spec, text), *((self.folder / k.replace("_", "."), v)
                                                for k, v in files.items())):
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return self

    def check(self, **head: Any) -> tuple[int, str]:
        """The checker's answer to a proof of one leaf, or to the witness in `head`."""
        proof = self.folder / "p.vxc"
        digest = {k: hashlib.sha256(p.read_bytes()).hexdigest()
                  for k, p in (("network", self.network), ("spec", self.spec))}
        data = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self.folder.iterdir()
                if p not in (self.network, self.spec, proof)}
        line = {"vxc": 1, **digest, **({"data": data} if data else {}), **head}
        proof.write_text(json.dumps(line) + "\n" + ('{"l":1}\n' if "witness" not in head else ""))
        return checker.check([str(self.network), str(self.spec), str(proof)])

    def breaks(self, x: Point) -> bool:
        """Whether a point is a counterexample, by the engine; the checker must say the same."""
        problem = load_problem(self.spec, self.network)
        values = evaluate_exact(problem.graph, tuple(x), problem.targets())
        said = problem.region.contains(x) and holds(negate(problem.require), values)
        code, text = self.check(witness=[str(v) for v in x])
        assert (code == 0) == said, text
        return said

    def refused(self, match: str | None = None) -> str:
        """Both sides refuse, in one line; the checker's line is returned."""
        with pytest.raises(VerifexError, match=match) as error:
            load_problem(self.spec, self.network)
        assert "\n" not in str(error.value)
        code, text = self.check()
        assert (code, text.split(":")[0]) == (65, "invalid")
        assert "\n" not in text
        return text

    def center(self) -> Point:
        """The middle of the region, which both sides must find."""
        problem = load_problem(self.spec, self.network)
        claim = checker.load(str(self.spec), checker.read(str(self.spec)),
                             checker.Network(self.network.read_bytes()))
        assert (list(problem.region.lo), list(problem.region.hi)) == (claim.lo, claim.hi)
        return [(a + b) / 2 for a, b in zip(problem.region.lo, problem.region.hi)]


@pytest.fixture
def case(tmp_path: Path) -> Callable[[int], Case]:
    return lambda size: Case(tmp_path, size)


# --- names are compared as they are written -------------------------------------------------------

NAMED = """verifex = 1
[input]
point = [0, 0]
names = ["{first}", "{second}"]
[region]
box = [0, 1]
linear = '''{name} <= 0.5'''
[[require]]
output = "logit:1"
at_most = 0.6
"""


@pytest.mark.parametrize(("first", "second"), [
    ("ﬁ", "fi"), ("K", "\u212a"), ("ſ", "s"), ("ª", "a"), ("𝐱", "x1"), ("Age", "age"),
    ("é", "e\u0301"), ("a ", "a"), ("x²", "x2"),
])
def test_a_constraint_is_about_the_name_as_written(
    case: Callable[[int], Case], first: str, second: str
) -> None:
    """x = (0, 1) breaks the claim where the constraint is on the first feature."""
    c = case(2)
    for name, broken in ((first, True), (second, False)):
        c.write(NAMED.format(first=first, second=second, name=f'x["{name}"]'))
        assert c.breaks([F(0), F(1)]) == broken, name
        if all(k.isalnum() for k in name):
            c.write(NAMED.format(first=first, second=second, name=name))
            assert c.breaks([F(0), F(1)]) == broken, name


@pytest.mark.parametrize("text", [
    '"x[0]" = 1\n', '"x[1]" = 1\n', '"0" = 1\n',
])
def test_names_that_look_like_places(case: Callable[[int], Case], text: str) -> None:
    """A feature may be called x[1]: then that is its name, not its place."""
    spec = ('verifex = 1\n[input]\npoint = [0, 0]\nnames = ["x[1]", "0"]\n[region.linf]\n' + text
            + '[[require]]\noutput = "sum"\nat_most = 0.5\n')
    c = case(2).write(spec)
    moved = {'"x[0]"': 0, '"x[1]"': 0, '"0"': 1}[text.split(" ")[0]]
    assert c.breaks([F(i == moved) for i in range(2)])
    assert not c.breaks([F(i != moved) for i in range(2)])


# --- constraints are read without a parser of another language ------------------------------------


@pytest.mark.parametrize("text", [
    "-" * 1500 + "x[0] <= 1", "(" * 500 + "x[0]" + ")" * 500 + " <= 1", "- -x[0] <= 1",
    "x[0] + +-x[1] <= 1", "2*3*x[0] <= 1", "x[0] <= 1 # note", "x[0] <= 1_000", "x[٠] <= 1",
    "x[0] <= ١", "x[0]\u00a0<= 1", "x[0] <= 1 and x[1] <= 1", "x[0] < 1", "x[0] <= 0x1", "",
    "x[0] <= 1\n", "x[0] - x[0] <= 1", "1 <= 2", "x[0] <= 1/3", 'x["0"] <= 1', "+" * 19_999 + "1",
    "x[0] <= " + "1" * 1001, "x[0] + " * 4000 + "x[1] <= 1", "x[0] / 0 <= 1", "x[0] = 1",
])
def test_what_is_no_sum_is_refused_by_both(case: Callable[[int], Case], text: str) -> None:
    spec = {"box": [-2, 2]}
    c = case(2).write(f"verifex = 1\n[region]\nbox = {spec['box']}\nlinear = {json.dumps(text)}\n"
                      '[[require]]\noutput = "sum"\nat_most = 9\n')
    assert "linear[0]" in c.refused("linear")


def test_long_sums_are_read(case: Callable[[int], Case]) -> None:
    text = " + ".join(["x[0]", "0.5*x[1]"] * 700) + " <= 700"
    c = case(2).write(f"verifex = 1\n[region]\nbox = [0, 2]\nlinear = '{text}'\n"
                      '[[require]]\noutput = "sum"\nat_most = 1.5\n')
    assert not c.breaks([F(1), F(1)])  # 1050 > 700
    assert c.breaks([F(0), F(2)])
    assert not c.breaks([F(0), F(3)])


# --- comments and other parts of VNN-LIB 1.0 ------------------------------------------------------

HEAD = "".join(f"(declare-const {v}_{i} Real)\n" for v in "XY" for i in (0, 1))
BOX = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))\n" for i in (0, 1))


@pytest.mark.parametrize(("end", "counts"), [
    ("\r", True), ("\n", True), ("\r\n", True), (" ", False), ("\t", False),
])
def test_a_comment_ends_where_the_standard_says(
    case: Callable[[int], Case], end: str, counts: bool
) -> None:
    """SMT-LIB 2.6, 3.1: at a line feed or a carriage return."""
    c = case(2).write(HEAD + BOX + f"; a comment{end}(assert (>= Y_0 100))\n(assert (<= Y_1 5))\n",
                      "q.vnnlib")
    assert c.breaks([F(0), F(0)]) != counts
    test = raw_query(c.spec, load_stated(c.spec, c.network))
    assert test({"X": [F(0)] * 2, "Y": [F(0)] * 2}) != counts


@pytest.mark.parametrize(("old", "new"), [
    ("; note", "; \0note"), ("; note", "; \x0bnote"), ("; note", "; \x85note"),
    ("; note", "; \u2028note"), ("X_0 0.5", "|X_0| 0.5"), ("X_0 0.5", "X_0\x0b0.5"),
    ("X_0 0.5", "X_0\u00a00.5"), ("0.5", "1/2"), ("0.5", "0_5"), ("0.5", "٠.5"), ("0.5", ".5"),
    ("0.5", "+0.5"), ("0.5", "00.5"), ("0.5", "1e1000"), ("0.5", "0.5 1"), ("0.5", "- 0.5"),
    ("(assert (<= Y_1 5))", "(set-logic QF_LRA)(assert (<= Y_1 5))"),
    ("(assert (<= Y_1 5))", "(assert (<= Y_1 5))(check-sat)"), ("(<= Y_1 5)", "(! (<= Y_1 5) :named a)"),
    ("(<= Y_1 5)", "(<= Y_1 5 6)"), ("(<= Y_1 5)", "(not (<= Y_1 5))"), ("(<= Y_1 5)", "(and)"),
    ("(<= Y_1 5)", "<="), ("(<= Y_1 5)", "true"), ("(<= Y_1 5)", "()"), ("(<= Y_1 5)", "(<= (+) 5)"),
    ("(declare-const Y_1 Real)\n", ""), ("Y_1 Real", "Y_0 Real"), ("Y_1 Real", "Y_1 Int"),
    ("(declare-const Y_1 Real)", "(declare-fun Y_1 Real ())"), ("Y_1 5", "Y_01 5"),
    ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)"), ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)))"),
    ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)) word"), ("(assert (<= Y_1 5))", '"(assert (<= Y_1 5))"'),
    ("; note", "\ufeff; note"), ("(<= Y_1 5)", "(and " * 120 + "(<= Y_1 5)" + ")" * 120),
])
def test_what_is_no_query_of_version_1_is_refused_by_both(
    case: Callable[[int], Case], old: str, new: str
) -> None:
    text = "; note\n" + HEAD + BOX + "(assert (<= X_0 0.5))\n(assert (<= Y_1 5))\n"
    assert text.count(old) >= 1
    c = case(2).write(text, "q.vnnlib")
    assert c.breaks([F(1, 2), F(1)])
    said = c.write(text.replace(old, new, 1), "q.vnnlib").refused()
    assert said.startswith("invalid: spec: line "), said


def test_a_variable_is_declared_before_it_is_used(case: Callable[[int], Case]) -> None:
    late = HEAD.splitlines()[-1]
    text = HEAD.replace(late, "") + BOX + "(assert (<= Y_1 5))\n" + late
    assert "declared before" in case(2).write(text, "q.vnnlib").refused("declared before")


@pytest.mark.parametrize(("text", "value"), [
    ("-1", "-1"), ("0.50", "1/2"), ("1.", "1"), ("1e-05", "1/100000"), ("-1.5E+2", "-150"), ("-0", "0"),
])
def test_numbers_of_queries_as_files_have_them(
    case: Callable[[int], Case], text: str, value: str
) -> None:
    box = "".join(f"(assert (>= X_{i} -999))(assert (<= X_{i} 999))\n" for i in (0, 1))
    c = case(2).write(HEAD + box + f"(assert (<= Y_0 {text}))\n", "q.vnnlib")
    at = F(value)
    assert c.breaks([at, F(0)])
    assert not c.breaks([at + F(1, 10**6), F(0)])


# --- data files -----------------------------------------------------------------------------------

ROW = """verifex = 1
[input]
data = "{data}"
row = {row}
{more}
[region]
linf = 0.1
[[require]]
output = "sum"
at_least = -1000
"""


def data(c: Case, text: str | bytes, row: int, more: str = "", name: str = "d.csv", **files: Any
         ) -> Case:
    return c.write(ROW.format(data=name, row=row, more=more),
                   **{name.replace(".", "_"): text}, **files)


@pytest.mark.parametrize("text", [
    "\na,b\n0,0\n5,5\n9,9\n", "\n\n\r\na,b\r\n0,0\r\n\r\n5,5\r\n", "\ufeffa,b\r0,0\r5,5\r9,9",
    "a,b\n0,0\n\n\n5,5", '"a","b\nc"\n0,"0"\n"5",5\n', 'a,"b"""\r\n0,0\r\n5 ,\t5', "\r\ra,b\n0,0\r5,5",
    "\ufeff\n\na,b\n\n0,0\n5.0,5e0\n",
])
def test_rows_are_counted_after_the_header_and_without_blank_lines(
    case: Callable[[int], Case], text: str
) -> None:
    assert data(case(2), text, 1).center() == [5, 5]
    assert data(case(2), text, 0).center() == [0, 0]


def test_a_file_without_a_header(case: Callable[[int], Case]) -> None:
    assert data(case(2), "\n0,0\n5,5\n", 1).center() == [5, 5]
    assert data(case(2), "1,2\n0,0\n5,5\n", 1, "header = true").center() == [5, 5]
    assert data(case(2), "a,1\n0,0\n5,5\n", 1, "header = true").center() == [5, 5]


@pytest.mark.parametrize(("text", "more", "said"), [
    ("a;b\n0;0\n5;5\n", "", "columns"), ("a,b\n0,0,\n5,5,\n", "", "3 cells"), ("a,b,\n0,0\n", "", "columns"),
    (" \na,b\n0,0\n5,5\n", "", "blanks"), ("a,b\n0,0\n \n5,5\n", "", "blanks"),
    ('""\na,b\n0,0\n5,5\n', "", "blanks"), ("a,b\n0,0\n5\n", "", "1 cells"),
    ('a,b\n0,0\n5"5",5\n', "", "quote"), ('a,b\n0,0\n"5"5,5\n', "", "quote"), ('a,b\n0,0\n"5,5\n', "", "quote"),
    ("a,b\n0,0\n5,5\0\n", "", "NUL"), ("a,b\n0,0\n5,٥\n", "", "number"), ("a,b\n0,0\n5,1_0\n", "", "number"),
    ("a,a\n0,0\n5,5\n", "", "named 'a'|of a name"), ("0,no\n0,0\n5,5\n", "", "header"),
    ("5.1,a\n5.2,b\n5.3,b\n", "drop = [1]", "header"), ("a,b,b\n0,0,1\n5,5,1\n", 'target = "b"', "b"),
    ("a,b\n0,0\n", "", "row 1 of 1"), ("a,b\n0,0\n5,nan\n", "", "number"), ("", "", "empty"),
    ("\n\n", "", "empty"), ("a,b\n0,0\n5,5\n", "drop = [-1]", "column"), ("a,b\n0,0\n5,5\n", 'header = "no"', "header"),
    (",\n0,0\n5,5\n", "header = true", "names"), ("\ufeff\ufeff0,0\n5,5\n", "", "header"),
    ("a,b\n0,0\n5,5\n".encode("utf-16"), "", "UTF-8|codec"), (gzip.compress(b"a,b\n0,0\n5,5\n", mtime=0), "", "UTF-8|gz"),
    ("a,b,c\n0,0,1\n5,5,1\n", 'target = ["c"]', "target"), ("a,b,c\n0,0,1\n5,5,1\n", "drop = [true]", "drop"),
])
def test_what_readers_of_csv_take_differently_is_refused_by_both(
    case: Callable[[int], Case], text: str | bytes, more: str, said: str
) -> None:
    data(case(2), text, 1, more).refused(said)


def test_a_data_file_is_zipped_if_its_name_says_so(case: Callable[[int], Case]) -> None:
    text = b"a,b\n0,0\n5,5\n"
    assert data(case(2), gzip.compress(text), 1, name="d.csv.gz").center() == [5, 5]
    data(case(2), text, 1, name="d.csv.gz").refused("gz")


def test_columns_of_minmax_of_go_by_their_names(case: Callable[[int], Case]) -> None:
    """A permuted file scales each feature by its own column."""
    c, more = case(2), 'minmax_of = "m.csv"'
    for table in ("a,b\n0,10\n10,20\n", "b,a\n10,0\n20,10\n", 'b,"a"\r\n20,10\r\n10,0\r\n'):
        assert data(c, "a,b\n5,15\n", 0, more, m_csv=table).center() == [F(1, 2), F(1, 2)]
    assert data(c, "5,15\n", 0, more, m_csv="0,10\n10,20\n").center() == [F(1, 2), F(1, 2)]


@pytest.mark.parametrize("table", [
    "a,c\n0,10\n10,20\n", "0,10\n10,20\n", "a,b,c\n0,10,1\n10,20,1\n", "a,a\n0,10\n10,20\n", "a,b\n",
    "a,b\n0,10\n10,nan\n", "a,b\n0,10\n10,1/3\n", "a,b\n0,10\n10,٣\n", "A,b\n0,10\n10,20\n",
    "a,b\n0,10\n10,1e999999\n", "a,b\n0,10\n10\n",
])
def test_other_columns_of_minmax_of_are_refused(case: Callable[[int], Case], table: str) -> None:
    said = data(case(2), "a,b\n5,15\n", 0, 'minmax_of = "m.csv"', m_csv=table).refused("minmax_of")
    assert "minmax_of" in said


def npy(head: str, body: bytes) -> bytes:
    coded = head.encode() + b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(coded).to_bytes(2, "little") + coded + body


@pytest.mark.parametrize("head", [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2,)}",
])
def test_a_row_of_an_array(case: Callable[[int], Case], head: str) -> None:
    body = np.array([[0, 0], [5, 6]], "<f8").tobytes()
    assert data(case(2), npy(head, body), 1, name="d.npy").center() == [5, 6]


@pytest.mark.parametrize(("head", "size"), [
    ("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 2), }", 4),
    ("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 2), }", 32),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", 24),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 32),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", 32),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), <", 32),
    ("{'descr': '<O8', 'fortran_order': False, 'shape': (2, 2), }", 32),
])
def test_other_arrays_are_refused(case: Callable[[int], Case], head: str, size: int) -> None:
    data(case(2), npy(head, b"\0" * size), 1, name="d.npy").refused()


@pytest.mark.parametrize("more", ["header = false", 'target = "a"', "drop = [0]"])
def test_an_array_has_no_columns_by_name(case: Callable[[int], Case], more: str) -> None:
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"
    data(case(2), npy(head, b"\0" * 32), 1, more, name="d.npy").refused(more.split(" ")[0])


# --- counts and other values of specs -------------------------------------------------------------

WHOLE = """verifex = 1
[input]
point = [0, 0, 0, 0]
names = ["a", "b", "c", "d"]
[region]
linf = 1
[explain]
output = "logit:0"
[[require]]
{claim}
"""


@pytest.mark.parametrize("claim", [
    "top_k = 2\noverlap_at_least = 1.5", 'sign = "unchanged"\nat_least = 1.5\nzero = "ignore"',
    "top_k = 1.0", "top_k = true", 'top_k = "1"', "top_k = -1", "top_k = 1\noverlap_at_least = true",
    'sign = "unchanged"\nzero = "ignore"\nat_least = true', "class = true", "class = 1.0", "class = -1",
    "class = 4", 'class = "1"', "all = []", "any = []", "not = []", 'component = []\nat_most = 9',
    'sign = "unchanged"\nwhich = []', 'order = []', 'order = ["a"]', 'order = "ab"', 'order = ["a", "a"]',
    'output = "logit:١"\nat_least = -9', 'output = "logit:+1"\nat_least = -9', 'output = "logit:1_0"\nat_least = -9',
    'output = "logit: -1"\nat_least = -9', 'output = "logit:true"\nat_least = -9', 'output = 1\nat_least = -9',
    'output = "margin:1,1"\nat_least = -9', 'output = "predicted:"\nat_least = -9', 'output = "logit:0"\nat_least = true',
    'output = "logit:0"\nat_least = "1_0"', 'output = "logit:0"\nat_least = "٣"', 'output = "logit:0"\nat_least = nan',
    'output = "logit:0"\nat_least = 2024-01-01', 'output = "logit:0"', 'component = true\nat_most = 9',
    'component = 1.0\nat_most = 9', 'component = "x[١]"\nat_most = 9', 'distance = "l3"\nat_most = 9',
    'distance = "l1"\nat_most = 9\nrelative = "true"', 'distance = "l1"\nat_most = 9\nrelative = 1',
    'sign = "unchanged"\nzero = "drop"', 'sign = "unchanged"\nzero = "ignore"\nthreshold = -1',
    'top_k = 1\ntie = "first"', 'monotone = "increasing"\nfeature = []', 'class = 0\ncomponent = "a"\nat_most = 9',
    'output = { weights = [1, 2, 3] }\nat_least = -9', 'all = [{ class = 0, klass = 1 }]', "all = { class = 0 }",
])
def test_values_of_properties_are_what_they_should_be(
    case: Callable[[int], Case], claim: str
) -> None:
    said = case(4).write(WHOLE.format(claim=claim)).refused("require")
    assert said.startswith("invalid: spec: "), said


@pytest.mark.parametrize(("old", "new"), [
    ("verifex = 1", "verifex = true"), ("verifex = 1", "verifex = 1.0"), ("verifex = 1\n", ""),
    ("linf = 1", "linf = true"), ("linf = 1", 'linf = "1_0"'), ("linf = 1", "linf = [1, 1, 1]"),
    ("linf = 1", "linf = [[1, 1], [1]]"), ("linf = 1", 'linf = { "*" = 1, "a*" = 2 }'),
    ("linf = 1", 'linf = { "x[0]" = 1, a = 2 }'), ("linf = 1", "linf = 1\none_hot = [[]]"),
    ("linf = 1", 'linf = 1\none_hot = [["a"]]'), ("linf = 1", 'linf = 1\none_hot = "ab"'),
    ("linf = 1", 'linf = 1\none_hot = [["a", "b"], ["b", "c"]]'), ("linf = 1", "linf = 1\ninteger = [true]"),
    ("linf = 1", "linf = 1\nfreeze = [1.0]"), ("linf = 1", "linf = 1\nfreeze = [-1]"), ("linf = 1", "l1 = -1"),
    ("linf = 1", 'linf = 1\nbox = "01"'), ("linf = 1", "linf = 1\nbox = [0]"), ("linf = 1", "linf = 1\nlinear = [1]"),
    ("linf = 1", 'linf = 1\nlinear = "a <= -2"'), ("linf = 1", "linf = 1\nclip = [2, 3]"),
    ('output = "logit:0"\n[[', 'output = "logit:0"\nfeatures = []\n[['), ("[[require]]", "[require]"),
    ('output = "logit:0"\n[[', 'output = "logit:0"\noptions = []\n[['), ('"logit:0"\n[[', '"logit:0"\nreduce = "Abs"\n[['),
    ("point = [0, 0, 0, 0]", "point = [[0, 0, 0], [0]]"), ("point = [0, 0, 0, 0]", "point = [[0, 0], [0, 0]]"),
    ("point = [0, 0, 0, 0]", "point = []"), ("point = [0, 0, 0, 0]", "point = 0"),
    ("point = [0, 0, 0, 0]", "point = { x = [0, 0, 0, 0], y = [1] }"), ("point = [0, 0, 0, 0]", "point = [0, 0, 0, true]"),
    ('names = ["a", "b", "c", "d"]', 'names = "abcd"'), ('names = ["a", "b", "c", "d"]', "names = [1, 2, 3, 4]"),
    ('names = ["a", "b", "c", "d"]', 'names = ["a", "b", "c", "a"]'), ("names", "row = 0\nnames"),
    ("names", "scale = { min = [1, 0, 0, 0], max = [0, 1, 1, 1] }\nnames"), ("names", 'round = "float16"\nnames'),
    ("names", 'minmax_of = "s.toml"\nnames'), ('[[require]]\nclass = 0', "require = []"),
])
def test_values_of_a_spec_are_what_they_should_be(
    case: Callable[[int], Case], old: str, new: str
) -> None:
    text = WHOLE.format(claim="class = 0")
    if new == "require = []":
        text = text.replace("[input]", "require = []\n[input]").replace(old, "")
    else:
        assert old in text
        text = text.replace(old, new, 1)
    c = case(4).write(text)
    with pytest.raises(VerifexError):
        load_problem(c.spec, c.network)
    code, said = c.check()
    assert code == 65
    assert said.startswith("invalid: spec: "), said


def test_a_count_that_is_whole_is_taken(case: Callable[[int], Case]) -> None:
    text = WHOLE.replace('"logit:0"\n[[', "{{ weights = [4, 3, 2, 1] }}\n[[")
    for claim in ("top_k = 2\noverlap_at_least = 1", 'sign = "unchanged"\nat_least = 3'):
        c = case(4).write(text.format(claim=claim))
        assert not c.breaks([F(1)] * 4)
        assert c.check()[0] in (0, 2)


def test_a_spec_is_never_zipped(case: Callable[[int], Case]) -> None:
    text = WHOLE.format(claim="class = 0").encode()
    assert "zipped" in case(4).write(gzip.compress(text)).refused("UTF-8")


def test_deep_constraints_are_one_line(
    case: Callable[[int], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    c = case(1).write('verifex = 1\n[region]\nbox = [0, 1]\nlinear = "' + "-" * 1500
                      + 'x[0] <= 1"\n[[require]]\noutput = "sum"\nat_most = 9\n')
    assert run(app, ["verify", str(c.network), str(c.spec)]) == 65
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "linear[0]" in said.err


def test_errors_name_the_line_whatever_ends_it(case: Callable[[int], Case]) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = (HEAD + BOX + "(assert (<= Y_1 five))\n").replace("\n", end)
        c = case(2).write(text, "q.vnnlib")
        with pytest.raises(InputError) as error:
            load_problem(c.spec, c.network)
        assert error.value.key == "7"
        assert c.check()[1].startswith("invalid: spec: line 7: ")
