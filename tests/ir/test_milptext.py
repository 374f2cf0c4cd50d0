"""LP and MPS files: three readers find the optimum that the model has."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction as F
from importlib.util import find_spec
from pathlib import Path

import pytest

from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Model, Product, Row
from verifex.ir.model.milp_text import to_lp, to_mps

READ = {
    "highspy": """
import highspy
h = highspy.Highs(); h.silent(); h.setOptionValue("mip_rel_gap", 0.0)
assert h.readModel(path) == highspy.HighsStatus.kOk
h.run()
ok = h.getModelStatus() == highspy.HighsModelStatus.kOptimal
print(json.dumps(h.getInfo().objective_function_value if ok else None))
""",
    "pyscipopt": """
import pyscipopt
m = pyscipopt.Model(); m.hideOutput(); m.readProblem(path); m.optimize()
print(json.dumps(m.getObjVal() if m.getStatus() == "optimal" else None))
""",
    "gurobipy": """
import gurobipy
e = gurobipy.Env(empty=True); e.setParam("OutputFlag", 0); e.start()
m = gurobipy.read(path, env=e); m.Params.MIPGap = 0; m.optimize()
print(json.dumps(m.ObjVal if m.Status == 2 else None))
""",
}


def example() -> Model:
    """Every feature of the files; the optimum is 2.3 + 1/4, at x = 1, y = 0.1, s = 0, z = -2."""
    m = Model()
    x, y = m.new("x\nover two lines", 0, 1), m.new("y", 0, F(1, 3))
    s, z = m.new("s", 0, 1, True), m.new("z", -5, None, True)
    u = m.new("free")
    m.add({x: 1, y: 1}, "<=", F(5, 4))
    m.imply(s, 1, Row(((x, 1),), "<=", F(1, 2)), F(1, 2))
    m.imply(s, 0, Row(((y, 1),), "<=", F(1, 10)), F(7, 30))
    m.add({z: 2}, ">=", F(-9, 2))
    m.add({u: 1, z: 1}, "==", -2)
    wide = {m.new(f"w{i}", -1, 0): 0.1 for i in range(20)}
    m.add(wide, "<=", 100)
    m.objective = {x: 2, y: 3, z: -0.5, **wide}
    m.objective_const, m.maximise = F(1, 4) - 1, True
    return m


def optimum(reader: str, path: Path) -> float | None:
    code = f"import json, sys\npath = sys.argv[1]{READ[reader]}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    value: float | None = json.loads(done.stdout.splitlines()[-1])
    return value


@pytest.mark.parametrize("reader", READ)
@pytest.mark.parametrize("suffix", [".lp", ".mps"])
def test_readers_find_the_optimum(reader: str, suffix: str, tmp_path: Path) -> None:
    if find_spec(reader) is None:
        pytest.skip(f"{reader} is not installed")
    write = to_lp if suffix == ".lp" else to_mps
    path = tmp_path / f"model{suffix}"
    path.write_text(write(example()))
    assert optimum(reader, path) == pytest.approx(2.3 + 0.25, abs=1e-7)
    model = example()
    model.maximise = False
    path.write_text(write(model))
    # x = 0, y = 0, and z as large as it likes: unbounded
    assert optimum(reader, path) is None
    model.objective = {0: 1, 1: -1}
    path.write_text(write(model))
    assert optimum(reader, path) == pytest.approx(-1 / 3 - 0.75, abs=1e-7)
    model.add({}, ">=", 1)
    path.write_text(write(model))
    assert optimum(reader, path) is None


@pytest.mark.parametrize("write", [to_lp, to_mps])
def test_every_digit_is_written_and_rounding_is_told(write) -> None:  # type: ignore[no-untyped-def]
    m = Model()
    x = m.new("x", 0, 1)
    m.add({x: 0.1 + 2**-55}, "<=", 0.30000000000000004)
    text = write(m)
    assert repr(0.1 + 2**-55) in text
    assert "0.30000000000000004" in text
    assert "rounded" not in text
    m.add({x: F(1, 3)}, "<=", F(1, 10))
    assert "2 numbers are not floats" in write(m)


@pytest.mark.parametrize("write", [to_lp, to_mps])
def test_products_are_refused(write) -> None:  # type: ignore[no-untyped-def]
    m = Model()
    x, y = m.new("x", 0, 1), m.new("y", 0, 1)
    m.products.append(Product(y, x, x))
    with pytest.raises(UnsupportedError, match="products of variables"):
        write(m)
