"""`solvers` and `doctor`: what is installed here and whether it works."""

from __future__ import annotations

import os
import platform
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib import metadata
from typing import TYPE_CHECKING, Any

from verifex.cli.common import console, emit
from verifex.errors import EXIT_NO_SOLVER, MissingSolverError, VerifexError

if TYPE_CHECKING:
    from verifex.ir.model.solving import Answer, Availability, Capabilities

_NEEDED = ("highs", "z3")  # what `verify` uses unless told otherwise
_SECONDS = 20.0


def surveyed() -> dict[str, tuple[Capabilities | None, Availability]]:
    """Every registered solver with what it says of itself; asked side by side, in children."""
    from verifex.engine.solve import registry
    from verifex.ir.model.solving import Availability

    def ask(name: str) -> tuple[Capabilities | None, Availability]:
        try:
            return registry.info(name)
        except MissingSolverError as error:
            return None, Availability(False, reason=str(error))

    names = registry.names()
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as workers:
        return dict(zip(names, workers.map(ask, names), strict=True))


def solvers(*, json: bool) -> int:
    """List the solvers with availability, version, capabilities."""
    found = surveyed()
    if json:
        emit("solvers", {"solvers": [_solver_document(n, c, a) for n, (c, a) in found.items()]})
        return 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("name", "here", "version", "exact", "products", "optimises", "reads", "remark"):
        table.add_column(head, overflow="fold")
    for name, (can, there) in found.items():
        abilities = ("?",) * 4 if can is None else (
            _yes(can.exact), _yes(can.products), _yes(can.optimise), can.reads)
        table.add_row(name, _yes(there.ok), there.version, *abilities, Text(there.reason))
    console().print(table)
    return 0


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _solver_document(
    name: str, capabilities: Capabilities | None, availability: Availability
) -> dict[str, Any]:
    known = None if capabilities is None else asdict(capabilities)
    return {"name": name, **asdict(availability), "capabilities": known}


# --- doctor ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class EnvironmentCheck:
    """One thing looked at. A check that is not `needed` may fail without harm."""

    what: str
    ok: bool
    found: str
    needed: bool = True


def doctor(*, json: bool) -> int:
    """Check everything; 69 if something that verifex needs is missing or broken."""
    checks = [*_machine(), *_packages(), *_solvers(), _whole_path()]
    bad = [c for c in checks if c.needed and not c.ok]
    code = EXIT_NO_SOLVER if bad else 0
    if json:
        emit("doctor", {"checks": [asdict(c) for c in checks], "ok": not bad, "exit_code": code})
        return code
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for c in checks:
        state = ("ok", "green") if c.ok else ("FAILS", "bold red") if c.needed else ("no", "dim")
        table.add_row(Text(state[0], style=state[1]), Text(c.what), Text(c.found))
    out = console()
    out.print(table)
    out.print("all is well" if not bad else f"{len(bad)} of {len(checks)} checks fail")
    return code


def _machine() -> list[EnvironmentCheck]:
    """Python, processor threads, memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        EnvironmentCheck("python", True, f"{platform.python_version()} on {platform.system()}"),
        EnvironmentCheck("processor", True, f"{cores} cores usable, OMP_NUM_THREADS {threads}"),
        EnvironmentCheck("memory", memory > 1, f"{memory:.1f} GiB"),
    ]


def _packages() -> list[EnvironmentCheck]:
    """The packages that verifex asks for; those of extras need not be there."""
    checks = [EnvironmentCheck("verifex", True, metadata.version("verifex-nn"))]
    wanted = ["onnxruntime", *_asked_for()]
    for name in sorted(wanted):
        needed = name != "onnxruntime"
        try:
            checks.append(EnvironmentCheck(name, True, metadata.version(name), needed))
        except metadata.PackageNotFoundError:
            checks.append(EnvironmentCheck(name, False, "not installed", needed))
    return checks


def _asked_for() -> list[str]:
    """Names of the packages in our own metadata, extras left out."""
    lines = [r for r in metadata.requires("verifex-nn") or [] if "extra ==" not in r]
    return [match[0] for r in lines if (match := re.match(r"[A-Za-z0-9._-]+", r))]


def _solvers() -> list[EnvironmentCheck]:
    """Every solver that is here finds the most of x with 2 x <= 7; z3's like find some x."""
    checks = []
    for name, (capabilities, availability) in surveyed().items():
        needed = name in _NEEDED
        if capabilities is None or not availability.ok:
            checks.append(EnvironmentCheck(f"solver {name}", False, availability.reason, needed))
            continue
        start = time.monotonic()
        try:
            ok, said = _try_solver(name, capabilities)
        except VerifexError as error:
            ok, said = False, str(error)
        seconds = time.monotonic() - start
        text = f"{availability.version}: {said} ({seconds:.2f} s)"
        # One that is here and answers wrongly is worse than one that is not here.
        checks.append(EnvironmentCheck(f"solver {name}", ok, text))
    return checks


def _try_solver(name: str, capabilities: Capabilities) -> tuple[bool, str]:
    from verifex.engine.solve import registry
    from verifex.ir.model.solving import SolveLimits
    from verifex.ir.text.document import problem_to_json

    limits = SolveLimits(_SECONDS)
    with registry.open(name) as process:
        if capabilities.reads == "problem":
            answer = process.solve(problem_to_json(_example("1")), limits)
            point = answer.point or {}
            return bool(point), _said(answer)
        answer = process.solve(_one_line(capabilities.optimise), limits)
    x = (answer.point or {}).get(0)
    if x is None:
        return False, _said(answer)
    most = Fraction(7, 2)
    right = abs(Fraction(x) - most) < Fraction(1, 10**6) if capabilities.optimise else x <= most
    return right, f"{'max ' if capabilities.optimise else ''}x = {float(x):g}"


def _said(answer: Answer) -> str:
    return f"{answer.status.value} {answer.note}".strip()


def _one_line(optimise: bool) -> Any:
    from verifex.ir.model.logical import Model

    model = Model(maximise=True)
    x = model.new("x", 0, 10)
    model.add({x: 2}, "<=", 7)
    if optimise:
        model.objective = {x: 1}
    else:
        model.add({x: 1}, ">=", 3)
    return model


def _example(radius: str) -> Any:
    """A network of two outputs, relu(x0 + x1) and relu(x0 - x1), about the point (1, 1/2)."""
    import numpy as np

    from verifex import api
    from verifex.frontend.onnx.export import to_onnx
    from verifex.ir.graph import Builder
    from verifex.ir.linmap import dense

    b = Builder()
    x = b.input("x", (2,))
    y = b.relu(b.affine(dense(np.array([[1.0, 1.0], [1.0, -1.0]])), x))
    data = to_onnx(b.build({"y": y}), dtype="float64")
    spec = {
        "verifex": 1, "name": "doctor", "input": {"point": [1, "1/2"]}, "region": {"linf": radius},
        "explain": {"attribution": "gradient"}, "require": [{"class": "unchanged"}],
    }
    return api.build(data, spec)


def _whole_path() -> EnvironmentCheck:
    """Write a network as ONNX, read it, pose two questions, decide both."""
    from verifex.api import verify

    said = []
    try:
        for radius in ("1/10", "1"):
            said.append(verify(None, _example(radius), seconds=_SECONDS).outcome.value)
    except VerifexError as error:
        return EnvironmentCheck("a small problem", False, str(error))
    ok = said[0] in ("proved", "claimed") and said[1] == "refuted"
    return EnvironmentCheck("a small problem", ok, f"radius 1/10: {said[0]}, radius 1: {said[1]}")
