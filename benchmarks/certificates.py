"""Certificates: what writing and checking them costs, and what exact evaluation loses.

    python -m benchmarks.certificates --document docs/certificates.md

Three networks: 20-50-50-2 (bounds on gradient components), the Adult ANN (top-3 of the absolute
gradient), 784-100-100-10 on a test image (class and one gradient component, eps 2/255). Each
claim is searched and written in this process and checked by the checker in a process of its own,
one thread each. CPU seconds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.bench import DATA, OUT, ROOT, ball, components, save, search_minima, show
from tests.helpers import checker_parts as checker
from tests.helpers.document import section
from verifex.certificate.grant import run_checker
from verifex.certificate.write import proof_lines, write
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.claims import FormulaResult, decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.record import Proof
from verifex.frontend.onnx.read import load
from verifex.problem.spec.build import load_problem, read_problem
from verifex.source import QuestionFiles

MNIST = ROOT / "out" / "mnist_784_100_100_10.onnx"
LAZY = SearchOptions(root_effort=Effort(2), effort=Effort(2))
"""For the image: with its usual effort the search closes what is true there without a split."""

ADULT = DATA / "attribution_models" / "openxai"


@dataclass(frozen=True)
class Measured:
    """One claim: its certificate's figures. `losses`: engine's bound less the checker's."""

    network: str
    claim: str
    weights: int
    leaves: int
    size: int
    search: float
    writing: float
    checking: float
    fixed: float
    answer: str
    losses: tuple[float, ...]

    @property
    def per_leaf(self) -> float:
        """Milliseconds a leaf for every 10,000 weights, without reading network and spec."""
        return 1e3 * max(0.0, self.checking - self.fixed) / self.leaves * 1e4 / self.weights


# --- the claims -------------------------------------------------------------------------------


def _text(network: Path, tables: str) -> str:
    return f'verifex = 1\nnetwork = "{network}"\n{tables}'


def reference_specs() -> Generator[tuple[str, str], str, None]:
    """Components of 20-50-50-2 a little above their greatest values: published at eps 0.05, and at
    eps 0.1 (where trees are large) as the search finds them."""
    for path in sorted((DATA / "reference").glob("*20*.json")):
        known = json.loads(path.read_text())
        published = known["ranges"]["0.05"]["upper"]
        point = ", ".join(f'"{v!r}"' for v in known["center"])
        wide = {i: _greatest(path.with_suffix(".onnx"), known["center"], i) for i in (0, 1)}
        tops = [("0.05", i, published[i] + 0.01) for i in (0, 3, 7, 11)]
        for eps, i, most in [("0.1", i, v + 0.001) for i, v in wide.items()] + tops:
            yield f"component {i} of {path.stem}, eps {eps}", _text(path.with_suffix(".onnx"), f"""
[input]
point = [{point}]
[region]
linf = {eps}
[explain]
output = "logit:0"
[[require]]
component = {i}
at_most = {most!r}
""")


def _greatest(network: Path, centre: list[float], component: int) -> float:
    """The greatest value of a gradient component at eps 0.1."""
    problem, forms = components(load(network), ball(centre, "0.1"), 0)
    (found,), _, _ = search_minima(problem, [-forms[component]], 60.0)
    return -found.bound


def adult_specs() -> Generator[tuple[str, str], str, None]:
    """Top-3 stability at eps 0.2 of the first rows, categorical features frozen."""
    data = ADULT / "data" / "adult-test.csv.gz"
    with gzip.open(data, "rt", newline="") as file:
        header, *rows = list(csv.reader(file))
    columns = [[r[k] for r in rows] for k in range(len(header))]
    inputs = [k for k, name in enumerate(header) if name != "income"]
    frozen = [header[k] for k in inputs if {float(v) for v in columns[k]} <= {0.0, 1.0}]
    # Written out, so that neither side spends its time on reading the whole file for them.
    least, most = ([f(columns[k], key=float) for k in inputs] for f in (min, max))
    scale = f"scale = {{ min = {json.dumps(least)}, max = {json.dumps(most)} }}"
    for row in range(60):
        yield f"top 3 of row {row}", _text(ADULT / "onnx" / "adult_ann.onnx", f"""
[input]
data = "{data}"
row = {row}
target = "income"
{scale}
[region]
linf = 0.2
clip = [0, 1]
freeze = {json.dumps(frozen)}
[explain]
reduce = "abs"
[[require]]
top_k = 3
""")


def mnist_specs() -> Generator[tuple[str, str], str, None]:
    """The class of a test image, and a bound on one component near the image's middle: bisected,
    by the answers that are sent back, until the search closes it with splits."""
    from benchmarks.train_mnist import test_set
    from verifex.semantics.evaluate import evaluate_float
    images, _ = test_set()
    for image in (0, 1, 2):
        levels = np.rint(np.asarray(images[image], dtype=np.float64).ravel() * 255).astype(int)
        point = ", ".join(f'"{v}/255"' for v in levels)
        base = f"""
[input]
point = [{point}]
[region]
linf = "2/255"
clip = [0, 1]
"""
        explained = '[explain]\noutput = "predicted"\n[[require]]\nclass = "unchanged"\n'
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(_text(MNIST, base + explained + "[[require]]\ncomponent = 400\nabove = -99"))
            file.flush()
            problem = load_problem(Path(file.name), None)
        lo, hi = problem.region.float_box()
        x = np.random.default_rng(image).uniform(lo, hi, size=(500, 784))
        node = max(problem.targets())
        values = evaluate_float(problem.graph, x, [node])[node].reshape(500, -1)[:, 400]
        low, high = float(values.max()), float(values.max() + 20 * np.ptp(values))
        for _ in range(12):
            room = (low + high) / 2
            answer = yield f"class and component 400 of image {image}", _text(MNIST, (
                f"{base}{explained}[[require]]\ncomponent = 400\nat_most = {room!r}\n"))
            low, high = (room, high) if answer in ("false", "open") else (low, room)
            if answer not in ("false", "open", "one leaf"):
                break


# --- measuring --------------------------------------------------------------------------------


def weights(network: Path) -> int:
    """Numbers in the affine steps' matrices of a network."""
    from verifex.ir.linmap import Dense
    from verifex.ir.ops import Affine

    maps = [m for n in load(network).nodes if isinstance(n.op, Affine) for m in n.op.maps]
    return sum(m.weight.size for m in maps if isinstance(m, Dense))


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(files: QuestionFiles, path: Path) -> tuple[str, float]:
    """The checker's answer, and its CPU seconds: the least of nine runs."""
    used = []
    for _ in range(9):
        before = children_seconds()
        found = run_checker(files.network.path, files.spec.path, path, 900.0)
        used.append(children_seconds() - before)
    return found.text, min(used)


def engine_values(proof: Proof) -> list[float]:
    """The engine's bounds in the order in which their lines are written."""
    out, stack = list[float](), [0] if proof.nodes else []
    while stack:
        node = proof.nodes[stack.pop()]
        out += [b.value for b in node.bounds]
        if node.children is not None:
            stack += [node.children[1], node.children[0]]
    return out


def losses(files: QuestionFiles, path: Path, found: FormulaResult) -> tuple[float, ...]:
    """What the checker's exact evaluation comes out below the engine's floating-point bound."""
    if found.closed is None:
        return ()
    lines = [v for v in path.read_text().splitlines() if v.startswith('{"bound"')]
    engine = dict(zip(lines, engine_values(found.closed.proof), strict=True))
    out: list[float] = []

    class Watched(checker.Deriver):
        def _least(self, domain, atom, more, line, using):  # type: ignore[no-untyped-def]
            low = super()._least(domain, atom, more, line, using)
            value = engine.get(json.dumps(line, separators=(",", ":")))
            if value is not None:
                scale = 1 if line.get("exact") else self.grid.unit << self.grid.coefficient
                times = 1 if line.get("exact") or atom is None else self.atoms.factors[atom]
                out.append(value - float(low) / (scale * times))
            return low

    plain = checker.proof_checker.Deriver
    checker.proof_checker.Deriver = Watched  # type: ignore[misc]
    try:
        checker.check([str(files.network.path), str(files.spec.path), str(path)])
    finally:
        checker.proof_checker.Deriver = plain  # type: ignore[misc]
    return tuple(out)


def measure(label: str, claim: str, text: str, folder: Path, seconds: float) -> Measured | str:
    """Figures of one claim; a word where the search does not close it with splits."""
    spec, path = folder / "spec.toml", folder / "proof.vxc"
    spec.write_text(text)
    asked = read_problem(spec)
    problem, files = asked.problem, asked.files
    if files is None:
        raise SystemExit("a claim without files")
    started = time.process_time()
    options = LAZY if label.startswith("784") else SearchOptions()
    found = decide_search(problem, Budget(seconds, 4 << 30, 1), options)
    searched = time.process_time() - started
    if found.closed is None or found.stats.ties or found.closed.proof.leaves < 2:
        return "false" if found.witness else "open" if found.closed is None else "one leaf"
    started = time.process_time()
    size = write(path, proof_lines(problem, files, found.closed))
    written = time.process_time() - started
    answer, checked = check(files, path)
    lost = losses(files, path, found)
    # The same header and facts with one leaf left open: what reading and the facts cost.
    kept = [v for k, v in enumerate(path.read_text().splitlines()) if not k or '{"fact"' in v]
    path.write_text("\n".join([kept[0], '{"leaf":0}']) + "\n")
    _, fixed = check(files, path)
    return Measured(label, claim, weights(files.network.path), found.closed.proof.leaves, size,
                    searched, written, checked, fixed, answer, lost)


def survey(seconds: float, most: int) -> list[Measured]:
    out: list[Measured] = []
    sources = (("20-50-50-2", reference_specs()), ("Adult ANN", adult_specs()),
               ("784-100-100-10", mnist_specs()))
    with tempfile.TemporaryDirectory() as folder:
        for label, specs in sources:
            taken, answer = 0, ""
            while taken < most:
                try:
                    claim, text = specs.send(answer) if answer else next(specs)
                except StopIteration:
                    break
                found = measure(label, claim, text, Path(folder), seconds)
                answer = found if isinstance(found, str) else found.answer
                print(f"{label}: {claim}: {answer}", flush=True)
                if not isinstance(found, str):
                    out.append(found)
                    taken += 1
    return out


def report(rows: list[Measured]) -> str:
    header = ["network", "claim", "weights", "leaves", "bytes a leaf", "search s", "write s",
              "write / search", "check s", "reading s", "ms / leaf / 10,000 weights", "answer"]
    body = [[m.network, m.claim, m.weights, m.leaves, m.size / m.leaves, m.search, m.writing,
             f"{100 * m.writing / m.search:.1f} %", m.checking, m.fixed, m.per_leaf, m.answer]
            for m in rows]
    lost = []
    for name in dict.fromkeys(m.network for m in rows):
        mine = sorted(v for m in rows if m.network == name for v in m.losses)
        if mine:
            lost.append([name, len(mine), mine[0], float(median(mine)), mine[-1]])
    return f"""Written by the command below; CPU seconds of one thread.

    python -m benchmarks.certificates --document docs/certificates.md

`reading`: what the checker takes for the same network and spec with nothing to check, which
`ms / leaf / 10,000 weights` leaves out (facts at the root are counted in). Load of the machine
while this ran: {os.getloadavg()[0]:.1f}. The image's claims are searched with two steps of
improvement for each bound: with the usual effort they need no split.

{show(header, body)}

What exact evaluation loses: the engine's floating-point bound less what the checker derives from
the same multipliers. Negative: the checker's bound is the better one (its intermediate bounds are
not rounded to floats). An atom is taken as closed by the search when its bound exceeds 1e-9.

{show(["network", "bounds", "least", "median", "greatest"], lost)}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each search")
    parser.add_argument("--most", type=int, default=4, help="claims for each network")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    rows = survey(asked.seconds, asked.most)
    text = report(rows)
    print(text)
    save("certificates", {"rows": [m.__dict__ | {"per_leaf": m.per_leaf} for m in rows]})
    print(f"kept in {OUT}")
    if asked.document is not None:
        section(asked.document, "Cost", text)
    return 0 if rows and all(m.answer == "valid" for m in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
