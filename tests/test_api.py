"""The Python face: every way to give a model and a spec leads to the same verdict; lazy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import verifex
from verifex import Outcome, UsageError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NET = EXAMPLES / "breast_cancer.onnx"


def question(radius: str = "0.001", **rest: Any) -> dict[str, Any]:
    rows = {"data": str(EXAMPLES / "breast_cancer_test.csv"), "row": 4, "target": "target"}
    return {
        "input": rows, "region": {"linf": radius, "clip": [0, 1]},
        "explain": {"attribution": "gradient", "reduce": "abs"}, "require": [{"top_k": 3}], **rest,
    }


def spec_file(folder: Path, radius: str = "0.001") -> Path:
    text = f'verifex = 1\nnetwork = "{NET}"\n[input]\ndata = "{EXAMPLES}/breast_cancer_test.csv"\n'
    text += f'row = 4\ntarget = "target"\n[region]\nlinf = {radius}\nclip = [0, 1]\n'
    text += '[explain]\nattribution = "gradient"\nreduce = "abs"\n[[require]]\ntop_k = 3\n'
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def test_every_way_to_give_a_model_and_a_spec(tmp_path: Path) -> None:
    """One answer from all, and all of them proved: what is in memory is written for the checker."""
    file = spec_file(tmp_path)
    models = [str(NET), NET, NET.read_bytes(), verifex.load(NET)]
    specs: list[Any] = [file, str(file), verifex.load_spec(file), question()]
    seen = set()
    for model in models:
        for spec in specs:
            verdict = verifex.verify(model, spec)
            seen.add((verdict.outcome, verdict.margin_low))
            assert verdict.extra["certificate"]["check"] == "valid"
    assert len(seen) == 1
    assert {outcome for outcome, _ in seen} == {Outcome.PROVED}
    assert verifex.verify(None, file).outcome is Outcome.PROVED
    assert verifex.verify(None, file, check=False).outcome is Outcome.CLAIMED
    assert verifex.verify(None, file).margin_low == next(iter(seen))[1]
    assert verifex.verify(None, verifex.build(NET, file)).margin_low == next(iter(seen))[1]


def test_a_torch_module_is_the_network_it_exports() -> None:
    import torch

    torch.manual_seed(3)
    for kind in (torch.float32, torch.float64):
        model = torch.nn.Sequential(
            torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)
        ).to(kind)
        x = [0.25, -0.5, 0.75]
        spec = verifex.Spec(
            input=verifex.point(x), region=verifex.linf(0), explain=verifex.explain("gradient"),
            require=[verifex.class_unchanged()],
        )
        assert verifex.verify(model, spec).outcome is Outcome.PROVED
        t = torch.tensor([x], dtype=kind, requires_grad=True)
        out = model(t)
        (slope,) = torch.autograd.grad(out[0, out.argmax()], t)
        found = verifex.bound(model, spec, "component:1")
        assert float(found.high.attained or 0) == pytest.approx(float(slope[0, 1]), rel=1e-5)


def test_bound_from_python() -> None:
    found = verifex.bound(NET, question("0.01", require=[]), "component:worst_texture", seconds=30)
    assert found.settled
    assert found.low.attained is not None
    assert found.high.attained is not None
    assert found.low.attained <= found.high.attained


def test_several_bounds_are_those_of_each() -> None:
    logged: list[dict[str, Any]] = []
    texts = ["component:worst_texture", "margin:0,1"]
    spec = question("0.01", require=[])
    found = verifex.bounds(NET, spec, texts, seconds=30, log=logged.append)
    for text, one in zip(texts, found, strict=True):
        alone = verifex.bound(NET, spec, text, seconds=30)
        assert one.settled
        assert one.expression == alone.expression
        assert one.low.attained == pytest.approx(alone.low.attained, rel=1e-6)
        assert one.high.claimed == pytest.approx(alone.high.claimed, rel=1e-6)
    assert [e["expression"] for e in logged if e["event"] == "range"] == texts
    assert [e["t"] for e in logged] == sorted(e["t"] for e in logged)
    assert verifex.bounds(NET, spec, []) == []


def test_settings_and_keywords_are_the_same() -> None:
    chosen = verifex.Settings(seconds=30, engine="milp", attack=False)
    one = verifex.verify(NET, question("0.03"), chosen, check=False)
    other = verifex.verify(
        NET, question("0.03"), seconds=30, engine="milp", attack=False, check=False)
    assert one.outcome is other.outcome is Outcome.CLAIMED
    assert one.evidence == other.evidence
    assert one.evidence[0].source == "highs"
    searched = verifex.verify(NET, question("0.03"), chosen, engine="search", check=False)
    assert searched.evidence[0].source == "search"
    assert verifex.Verdict.from_json(one.to_json()).evidence == one.evidence


def test_progress_and_log_tell_the_same_stages() -> None:
    told: list[tuple[str, str]] = []
    logged: list[dict[str, Any]] = []
    found = verifex.bound(
        NET, question("0.01", require=[]), "component:worst_texture", engine="milp", check=False,
        progress=lambda stage, text: told.append((stage, text)), log=logged.append,
    )
    assert found.settled
    assert [stage for stage, _ in told] == ["highs", "highs"]
    assert [e["result"] for e in logged if e["event"] == "stage"] == [text for _, text in told]
    assert all(e["expression"] == "component:worst_texture" for e in logged)
    assert logged[-1]["event"] == "range"
    assert [e["t"] for e in logged] == sorted(e["t"] for e in logged)


def test_a_search_reports_twice_a_second_at_most() -> None:
    from verifex.engine import watch

    told: list[tuple[str, str]] = []
    logged: list[dict[str, Any]] = []
    now = [100.0]
    reporter = watch.Watch(
        logged.append, lambda stage, text: told.append((stage, text)), lambda: now[0]
    )
    report = reporter.search()
    assert report is not None
    for k in range(200):
        report({"event": "search", "domains": k, "open": 3, "gap": 0.25})
        now[0] += 1 / 64
    assert len(logged) == 200
    assert len(told) == 6  # in three seconds, the first after half of one
    assert told[0][0] == "search"
    assert told[0][1].endswith(" domains, 3 open, gap 0.25")
    assert watch.Watch(None, None).search() is None


def test_calls_that_do_not_fit_together() -> None:
    problem = verifex.build(NET, question())
    for call in (
        lambda: verifex.verify(NET, problem),
        lambda: verifex.verify(None, question()),
        lambda: verifex.verify(3.5, question()),
        lambda: verifex.verify(NET, 17),
        lambda: verifex.verify(NET, question(), seconds=0),
        lambda: verifex.verify(NET, question(), threads=0),
        lambda: verifex.verify(NET, question(), engine="fast"),
        lambda: verifex.verify(NET, question(), device="tpu"),
        lambda: verifex.verify(NET, question(), jobs=0),
        lambda: verifex.verify(NET, question(), engine="search", solver="z3"),
        lambda: verifex.verify(NET, question(), engine="milp", solver="cvc5"),
        lambda: verifex.verify(NET, question(), engine="smt", solver=["z3", "highs"]),
        lambda: verifex.verify(NET, question(), engine="milp", solver="regions"),
        lambda: verifex.bound(None, problem, "output"),
    ):
        with pytest.raises(UsageError):
            call()


def test_a_torch_module_without_a_point_is_refused() -> None:
    import torch

    with pytest.raises(UsageError, match=r"input\.point"):
        verifex.verify(torch.nn.Linear(30, 2), question())


def test_named_solvers_must_be_there() -> None:
    with pytest.raises(verifex.MissingSolverError, match="no solver is called 'nope'"):
        verifex.verify(NET, question(), solver="nope")
    with pytest.raises(verifex.MissingSolverError, match="pulp:NOPE"):
        verifex.verify(NET, question(), solver=["pulp:NOPE"])


def test_bad_input_names_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(verifex.InputError, match="nowhere"):
        verifex.load(tmp_path / "nowhere.onnx")
    with pytest.raises(verifex.InputError, match=r"region\.linf"):
        verifex.verify(NET, question("-1"))


def test_public_names_exist_and_are_lazy() -> None:
    for name in verifex.__all__:
        assert getattr(verifex, name) is not None
    assert set(verifex.__all__) <= set(dir(verifex))
    with pytest.raises(AttributeError, match="attribute nothing"):
        verifex.nothing  # noqa: B018
    code = "import sys, verifex; print(sum(m.startswith('verifex') for m in sys.modules), "
    code += "'numpy' in sys.modules, verifex.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, numpy, version = done.stdout.split()
    assert int(count) <= 2  # the package, and the finder of an editable installation
    assert numpy == "False"
    assert version == verifex.__version__


def test_a_certificate_never_replaces_what_it_is_about(tmp_path: Path) -> None:
    for name in ("breast_cancer.onnx", "breast_cancer_test.csv", "top3_stable.toml"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    network, spec = tmp_path / "breast_cancer.onnx", tmp_path / "top3_stable.toml"
    for path in (network, spec):
        before = path.read_bytes()
        with pytest.raises(verifex.UsageError, match="would replace"):
            verifex.verify(network, spec, certificate=path)
        assert path.read_bytes() == before
