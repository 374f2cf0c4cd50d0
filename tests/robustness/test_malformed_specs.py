"""200 malformed specs: each is one line that names file and key, quickly, and no traceback."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from verifex.errors import EXIT_INPUT, InputError
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import load_spec

HEAD = "verifex = 1\n"
POINT = '[input]\npoint = [0.25, 0.5, 0.75]\nnames = ["age", "sex", "pay"]\n'
REGION = "[region]\nlinf = 0.125\n"
EXPLAIN = '[explain]\nattribution = "gradient"\n'
CLAIM = '[[require]]\nclass = "unchanged"\n'


def with_input(text: str) -> str:
    return f"{HEAD}[input]\n{text}\n{REGION}{EXPLAIN}{CLAIM}"


def with_region(text: str) -> str:
    return f"{HEAD}{POINT}[region]\n{text}\n{EXPLAIN}{CLAIM}"


def with_explain(text: str) -> str:
    return f"{HEAD}{POINT}{REGION}[explain]\n{text}\n{CLAIM}"


def with_claim(text: str, explain: str = EXPLAIN) -> str:
    return f"{HEAD}{POINT}{REGION}{explain}[[require]]\n{text}\n"


def with_top(text: str) -> str:
    return f"{HEAD}{text}\n{POINT}{REGION}{EXPLAIN}{CLAIM}"


SYNTAX = [
    "", "verifex", "verifex = ", "= 1", "[", "]", "[[", "[a", "[[require]", "verifex = 1 1",
    "verifex = 01", "verifex = 'a", 'verifex = """a', "verifex = 1\nverifex = 1", "[a]\n[a]",
    "verifex = 1\n[input]\npoint = [1, 2", "a.b = 1\na = 2", "\x00", "verifex = 1\x00", "{}",
    "verifex = {a = 1", "verifex = 1e", "verifex = 2024-13-45", "\\", "verifex: 1", "<spec/>",
    "verifex = 1\n" + "[" * 5000, "x = " + "[" * 5000 + "]" * 5000, "x = " + "9" * 5000,
    "x = " + "{a = " * 2000 + "1" + "}" * 2000, '{"verifex": 1}',
]
TOP = [
    "verifix = 2", "[unknown]", 'network = 3', "name = 1", 'arithmetic = "float32"',
    "arithmetic = 1", 'kink = "maybe"', "kink = 0", 'network_output = "nope"', "network_output = 1",
    "timeout = 5", 'assume = "x"', "assume = 3",
]
INPUTS = [
    "point = [0.25, 0.5]", "point = [0.25, 0.5, 0.75, 1]", "point = []", "point = 0.5",
    'point = "0.5"', "point = [0.25, 0.5, nan]", "point = [0.25, 0.5, inf]",
    "point = [0.25, 0.5, -inf]", "point = [0.25, 0.5, true]", 'point = [0.25, 0.5, "a"]',
    'point = [0.25, 0.5, "1/0"]', "point = [[0.25, 0.5], [0.75]]", "point = [[0.25], 0.5, 0.75]",
    "point = [0.25, [0.5], 0.75]", "point = [[0.25], [0.5], [0.75, 1]]",
    "point = { y = [1, 2, 3] }",
    "point = { x = [1, 2] }", "point = {}", "point = [0.25, 0.5, 1e99999999]",
    "point = [0.25, 0.5, " + "1" * 3000 + ".5]", "point = [[[[[[[[[[0.25, 0.5, 0.75]]]]]]]]]]",
    "point = [0.25, 0.5, 2024-01-01]", "points = [0.25, 0.5, 0.75]", "row = 1",
    'point = [0.25, 0.5, 0.75]\nnames = ["age"]',
    'point = [0.25, 0.5, 0.75]\nnames = ["a", "a", "b"]', "point = [0.25, 0.5, 0.75]\nnames = 3",
    'point = [0.25, 0.5, 0.75]\nround = "float16"',
    "point = [0.25, 0.5, 1e300]\nround = \"float32\"",
    "point = [0.25, 0.5, 0.75]\nscale = { min = [0, 0], max = [1, 1, 1] }",
    "point = [0.25, 0.5, 0.75]\nscale = { min = [0, 0, 2], max = [1, 1, 1] }",
    "point = [0.25, 0.5, 0.75]\nscale = { min = [0, 0, 0] }",
    "point = [0.25, 0.5, 0.75]\ndrop = ['a']", 'point = [0.25, 0.5, 0.75]\nminmax_of = "rows.csv"',
    'point = [0.25, 0.5, 0.75]\ndata = "rows.csv"',
]
DATA = [
    'data = "rows.csv"', 'data = "rows.csv"\nrow = 99', 'data = "rows.csv"\nrow = -1',
    'data = "rows.csv"\nrow = 1.5', 'data = "rows.csv"\nrow = true', 'data = "none.csv"\nrow = 0',
    'data = "."\nrow = 0', 'data = ""\nrow = 0', 'data = "a\\u0000b"\nrow = 0',
    'data = "wide.csv"\nrow = 0', 'data = "wide.csv"\nrow = 0\ntarget = "labl"',
    'data = "wide.csv"\nrow = 0\ndrop = ["nope"]', 'data = "wide.csv"\nrow = 0\ndrop = [77]',
    'data = "words.csv"\nrow = 0', 'data = "short.csv"\nrow = 1', 'data = "empty.csv"\nrow = 0',
    'data = "bytes.csv"\nrow = 0', 'data = "fake.csv.gz"\nrow = 0', 'data = "cut.csv.gz"\nrow = 0',
    'data = "nan.csv"\nrow = 0', 'data = "fake.npy"\nrow = 0', 'data = "cut.npy"\nrow = 0',
    'data = "object.npy"\nrow = 0', 'data = "nan.npy"\nrow = 0', 'data = "rows.npy"\nrow = 9',
    'data = "rows.npy"', 'data = "wide.npy"\nrow = 0', 'data = "rows.npy"\nrow = 0\ntarget = "a"',
    'data = "rows.csv"\nrow = 0\nminmax_of = "none.csv"',
    'data = "rows.csv"\nrow = 0\nminmax_of = "words.csv"', "data = 3\nrow = 0",
    'data = "rows.csv"\nrow = 0\nheader = "yes"', 'data = "rows.csv"\nrow = 1000000000000000',
    'data = "long.csv"\nrow = 0', 'data = "double.csv"\nrow = 0',
]
REGIONS = [
    "", "linf = -0.1", "linf = nan", "linf = inf", 'linf = "x"', "linf = [0.1, 0.1]",
    "linf = [0.1, 0.1, -0.1]", "linf = { ag = 0.1 }", "linf = { age = -1 }", "linf = true",
    'linf = { age = 0.1, "x[0]" = 0.2 }', "lin = 0.1", "linf = 0.1\nclip = [0, 0.1]",
    "linf = 0.1\nclip = [1]", "linf = 0.1\nclip = [1, 0]", "linf = 0.1\nclip = 1",
    "linf = 0.1\nclip = { low = 0 }", "linf = 0.1\nclip = [[0, 0], 1]", "l1 = -1", "l2 = -1",
    "l2 = [1, 1, 1]", "l2 = { age = 1 }", "box = { lo = 0 }", "box = { lo = [0, 0, 0] }",
    "box = { lo = 1, hi = 0 }", "box = [0, 1, 2]", 'linf = 0.1\nfreeze = ["agee"]',
    "linf = 0.1\nfreeze = [7]", "linf = 0.1\nfreeze = [-1]", "linf = 0.1\nfreeze = [0.5]",
    'linf = 0.1\nfreeze = ["z*"]', 'linf = 0.1\nonly = ["x[9]"]', 'linf = 0.1\nonly = ["y[0]"]',
    'linf = 0.1\ninteger = ["pay"]', 'linf = 0.1\ninteger = "pays"',
    'linf = 0.1\none_hot = ["age"]',
    'linf = 0.1\none_hot = [["age", "sex"]]',
    'linf = 1\none_hot = [["age", "sex"], ["sex", "pay"]]',
    'linf = 1\none_hot = [["age", "ag"]]', 'linf = 0.1\nlinear = ["age < 1"]',
    'linf = 0.1\nlinear = ["age"]', 'linf = 0.1\nlinear = ["age * sex <= 1"]',
    'linf = 0.1\nlinear = ["wage <= 1"]', 'linf = 0.1\nlinear = ["age <= "]',
    'linf = 0.1\nlinear = ["age / 0 <= 1"]', 'linf = 0.1\nlinear = ["1 <= 2"]',
    'linf = 0.1\nlinear = ["age >= 5"]', "linf = 0.1\nlinear = [3]",
    "linf = 0.1\nlinear = ['__import__(\"os\").abort() <= 1']",
    'linf = 0.1\nlinear = ["age ** 2 <= 1"]',
    'linf = 0.1\nlinear = ["' + "(" * 300 + "age" + ")" * 300 + ' <= 1"]',
    'linf = 0.1\nlinear = ["' + "-" * 9000 + 'age <= 1"]',
    'linf = 0.1\nlinear = ["age == 0.1 != sex"]',
    'linf = 0.1\nlinear = ["age <= 1e999999999"]', 'linf = 0.1\nlinear = ["age <= 1j"]',
    "linf = 0.1\nlinear = ['age <= " + "1" * 30000 + "']",
]
EXPLAINS = [
    'attribution = "gradiant"', "attribution = 3", 'output = "logit:9"', 'output = "logit"',
    'output = "logit:-1"', 'output = "margin:0,0"', 'output = "margin:0"', "output = 1",
    'output = "best"', "output = { weights = [1] }", "output = { weights = [0, 0] }",
    "output = { margin = [0, 1, 2] }", "output = { logit = 0, margin = [0, 1] }",
    'reduce = "max"', 'reduce = "channel_sum"', 'features = ["agee"]', "features = []",
    'mode = "fast"', "options = { steps = 5 }", "options = 3", 'output = "predicted:1"',
]
CLAIMS = [
    "", "class = 2", "class = -1", 'class = "changed"', "class = 1.0", 'clas = "unchanged"',
    'class = "unchanged"\ntie = "first"', 'class = "unchanged"\ntop_k = 1', "top_k = 0",
    "top_k = 4",
    'top_k = "3"', "top_k = 2\noverlap_at_least = 3", "top_k = 2\noverlap_at_least = 0",
    "top_k = 2\noverlap = 2", 'output = "logit:0"', 'output = "logit:0"\nat_least = nan',
    'output = "logit:7"\nat_least = 0', 'component = "age"', 'component = "agee"\nat_least = 0',
    "component = []\nat_least = 0", 'component = "age"\nat_most = "a"', 'sign = "same"',
    'sign = "unchanged"\nwhich = ["z"]', 'sign = "unchanged"\nthreshold = -1',
    'sign = "unchanged"\nthreshold = 1000', 'sign = "unchanged"\nat_least = 9',
    'distance = "l3"\nat_most = 1',
    'distance = "l2"', 'distance = "l2"\nat_most = -1', 'distance = "l2"\nat_most = inf',
    'distance = "l2"\nat_most = 1\nrelative = "yes"', 'similarity = "cosine"',
    'similarity = "cosine"\nat_least = 1.5', 'similarity = "cos"\nat_least = 0.5', "order = []",
    'order = ["age"]', 'order = ["age", "age"]', 'order = ["age", "agee"]', 'order = "changed"',
    "mass = []\nat_least = 0.5", 'mass = ["age"]', 'mass = ["age"]\nat_least = 2',
    'mass = ["z"]\nat_least = 0.5', 'mass = { file = "none.npy" }\nat_least = 0.5',
    'mass = { file = "wide.npy" }\nat_least = 0.5', 'monotone = "up"\nfeature = "age"',
    'monotone = "increasing"', 'monotone = "increasing"\nfeature = "z"', "all = []", "any = 3",
    "not = []", "not = {}", 'all = [{ class = "unchanged" }, { clas = 1 }]',
    "all = [{ any = [{ not = { class = 9 } }] }]", 'any = [{ class = "unchanged", top = 1 }]',
    'not = { component = "zz", at_least = 1 }',
    "all = [" + "{ not = " * 80 + "{ class = 0 }" + " }" * 80 + "]",
]
WHOLE = {
    "no version": POINT + REGION + EXPLAIN + CLAIM,
    "version 2": "verifex = 2\n" + POINT + REGION + CLAIM,
    "version text": 'verifex = "1"\n' + POINT + REGION + CLAIM,
    "no claim": HEAD + POINT + REGION,
    "no point": HEAD + REGION + CLAIM,
    "no region": HEAD + POINT + CLAIM,
    "one table for a list": HEAD + POINT + REGION + '[require]\nclass = "unchanged"\n',
    "explanation property, no explanation": HEAD + POINT + REGION + "[[require]]\ntop_k = 1\n",
    "class tie": HEAD + "[input]\npoint = [0, 0, 0]\n" + REGION + CLAIM,
    "kink": HEAD + "[input]\npoint = [0, 0.5, 1]\n" + REGION + EXPLAIN.replace(
        "gradient\"", "gradient\"\noutput = \"logit:0\"") + "[[require]]\ntop_k = 1\n",
    "edge tie": HEAD + POINT + REGION + EXPLAIN + 'output = "logit:1"\n[[require]]\ntop_k = 1\n',
    "zero component": HEAD + POINT + REGION + EXPLAIN + '[[require]]\nsign = "unchanged"\n',
    "ranking tie": HEAD + POINT + REGION + EXPLAIN + (
        'output = "logit:1"\n[[require]]\norder = "unchanged"\n'),
    "input is a list": HEAD + "[[input]]\npoint = [1, 2, 3]\n" + REGION + CLAIM,
    "region is a number": "verifex = 1\nregion = 3\n" + POINT + CLAIM,
    "require of numbers": "verifex = 1\nrequire = [1, 2]\n" + POINT + REGION,
    "assume fails to parse": HEAD + POINT + REGION + CLAIM + "[[assume]]\nclas = 1\n",
    "assume of an unknown class": HEAD + POINT + REGION + CLAIM + "[[assume]]\nclass = 5\n",
}


def every_case() -> list[tuple[str, bytes]]:
    """All texts, named by family and number; the order is fixed."""
    families = {
        "syntax": SYNTAX, "top": [with_top(t) for t in TOP],
        "input": [with_input(t) for t in INPUTS], "data": [with_input(t) for t in DATA],
        "region": [with_region(t) for t in REGIONS],
        "explain": [with_explain(t) for t in EXPLAINS], "claim": [with_claim(t) for t in CLAIMS],
    }
    cases = [(f"{k}{i}", t.encode()) for k, texts in families.items() for i, t in enumerate(texts)]
    cases += [(name, text.encode()) for name, text in WHOLE.items()]
    cases += [
        ("utf16", (HEAD + POINT).encode("utf-16")), ("latin1", b"name = '\xe9'\n"),
        ("binary", bytes(range(256))), ("huge", b"# padding\n" * 900_000),
        ("huge line", b"a" * (9 << 20)), ("many nulls", bytes(4096)),
    ]
    return cases


CASES = every_case()


def network() -> Graph:
    """Three inputs a, b, c and the outputs 3 relu(a) - b and (a + b + c) / 8.

    At (0.25, 0.5, 0.75) output 0 is the larger one; it does not depend on c, and output 1 has three
    equal gradient components. At a = 0 output 0 is on its kink; at 0 the outputs tie.
    """
    b = Builder()
    x = b.input("x", (1, 3))
    hidden = b.relu(b.affine(dense([[1.0, 0, 0]], (1, 3), (1, 1)), x))
    rest = b.affine(dense([[0, -1.0, 0], [0.125] * 3], (1, 3), (1, 2)), x)
    first = b.affine(dense([[3.0], [0.0]], (1, 1), (1, 2)), hidden)
    return b.build({"y": b.sum([first, rest])})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data files, some of them broken."""
    at = tmp_path_factory.mktemp("specs")
    texts = {
        "rows.csv": "a,b,c\n0.1,0.2,0.3\n1,2,3\n", "wide.csv": "a,b,c,label\n1,2,3,0\n",
        "words.csv": "a,b,c\n1,two,3\n", "short.csv": "a,b,c\n1,2,3\n1,2\n", "empty.csv": "",
        "nan.csv": "a,b,c\n1,nan,3\n", "fake.csv.gz": "not gzipped", "fake.npy": "not numpy",
        "long.csv": "1,2," + "3" * 200_000 + "\n", "double.csv": "a,a,b\n1,2,3\n",
    }
    for name, text in texts.items():
        (at / name).write_text(text)
    (at / "bytes.csv").write_bytes(b"a,b,c\n\xff\xfe,2,3\n")
    (at / "cut.csv.gz").write_bytes(gzip.compress(b"a,b,c\n1,2,3\n" * 500)[:-40])
    np.save(at / "rows.npy", np.arange(6.0).reshape(2, 3))
    np.save(at / "wide.npy", np.arange(8.0).reshape(2, 4))
    np.save(at / "nan.npy", np.array([[1.0, np.nan, 2.0]]))
    np.save(at / "object.npy", np.array([[{}, 1, 2]], dtype=object), allow_pickle=True)
    (at / "cut.npy").write_bytes((at / "rows.npy").read_bytes()[:90])
    return at


def run(path: Path) -> None:
    """From the file to the problem, as `load_problem` does it."""
    try:
        build_problem(network(), load_spec(path), path.parent)
    except InputError as error:
        raise error.at(file=str(path)) from None


def test_there_are_enough_cases() -> None:
    assert len({text for _, text in CASES}) >= 200


@pytest.mark.parametrize("family", ["data", "region", "claim"])
def test_the_cases_are_malformed_where_they_say(family: str, folder: Path) -> None:
    """The frame around the faults is sound: without the fault there is no error."""
    sound = {
        "data": with_input('data = "wide.csv"\nrow = 0\ntarget = "label"'),
        "region": with_region('linf = 0.1\nclip = [0, 1]\nlinear = ["age - 2 * sex <= 0.3"]'),
        "claim": with_claim('distance = "l1"\nat_most = 3'),
    }
    path = folder / f"sound_{family}.toml"
    path.write_text(sound[family])
    run(path)


@pytest.mark.parametrize(("name", "text"), CASES, ids=[name for name, _ in CASES])
def test_malformed(name: str, text: bytes, folder: Path) -> None:
    path = folder / "bad_spec.toml"
    path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        run(path)
    error = caught.value
    assert error.exit_code == EXIT_INPUT
    line = str(error)
    assert line.startswith(f"{path}:{error.key}: ")
    assert error.key
    assert "\n" not in line
    assert len(line) < 700
    assert line.isprintable()
