"""Settings: one record for all, whose keywords, options and fields agree; a seed that arrives."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verifex
from verifex.cli.options import CLAIM, OPTIONS, RANGE, SEARCH, read_settings
from verifex.engine.decide import decide
from verifex.engine.ranges import find_range
from verifex.engine.search import claims, extrema
from verifex.errors import InputError, UsageError
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.settings import Changes, ClaimChanges, RangeChanges, Settings, read_seconds


def test_every_setting_has_its_keyword() -> None:
    named = {f.name for f in fields(Settings)}
    assert set(ClaimChanges.__annotations__) == named - {"solvers"} | {"solver"}
    assert set(Changes.__annotations__) < set(RangeChanges.__annotations__)
    assert set(RangeChanges.__annotations__) < set(ClaimChanges.__annotations__)


def test_options_without_values_are_the_default_settings() -> None:
    assert {option.setting for option in OPTIONS.values()} <= {f.name for f in fields(Settings)}
    assert set(CLAIM) | set(RANGE) == set(OPTIONS)
    for names in (SEARCH, RANGE, CLAIM):
        assert read_settings({name: OPTIONS[name].default for name in names}) == Settings()


def test_options_become_settings() -> None:
    said = read_settings({
        "solver": ["highs, z3"], "timeout": "2.5", "memory": "1G", "seed": 7, "no_check": True,
        "no_attack": True, "certificate": Path("p.vxc"),
    })
    assert said == Settings(seconds=2.5, solvers=("highs", "z3"), memory=1 << 30, seed=7,
                            check=False, attack=False, certificate=Path("p.vxc"))


@pytest.mark.parametrize(
    ("settings", "asked", "searches"),
    [
        (Settings(), ("highs", "z3"), True),
        (Settings(engine="search"), (), True),
        (Settings(engine="milp"), ("highs",), False),
        (Settings(engine="smt", solvers=("cvc5",)), ("cvc5",), False),
        (Settings(solvers=("z3",)), ("z3",), False),
        (Settings(solvers=("z3",), search=True), ("z3",), True),
        (Settings(solvers=()), (), True),
        (Settings(search=False), ("highs", "z3"), False),
    ],
)
def test_who_is_asked(settings: Settings, asked: tuple[str, ...], searches: bool) -> None:
    assert settings.asked == asked
    assert settings.searches is searches


def test_keywords_change_single_settings() -> None:
    base = Settings(seconds=5.0, seed=3)
    assert base.changed({}) == base
    assert base.changed({"solver": "z3"}).solvers == ("z3",)
    assert base.changed({"solver": ["z3", "highs"], "seed": 4}) == Settings(
        seconds=5.0, seed=4, solvers=("z3", "highs"))
    assert base.changed({"solver": None}).solvers is None
    assert base.changed({"certificate": "p.vxc"}).certificate == Path("p.vxc")


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0.0}, {"seconds": float("nan")}, {"threads": 0}, {"jobs": 0}, {"jobs": 65},
     {"engine": "fast"}, {"device": "tpu"}],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    Settings().require_numbers()
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Settings(**wrong).require_numbers()


def test_settings_come_back_from_plain_data() -> None:
    every = Settings(
        seconds=2.5, memory=1 << 30, threads=3, engine="smt", solvers=("z3", "cvc5"), search=True,
        attack=False, device="auto", seed=7, certificate=Path("p.vxc"), check=False, jobs=4,
        check_seconds=3.5)
    assert all(getattr(every, f.name) != getattr(Settings(), f.name) for f in fields(Settings))
    for settings in (Settings(), every, Settings(solvers=()), Settings(seconds=float("inf"))):
        assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert Settings.from_json({"seconds": 5}) == Settings(seconds=5.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"second": 5}, r"settings\.second: no setting, expected seconds, "),
     ({"seconds": "5"}, r"settings\.seconds: '5', expected .*number"),
     ({"seed": 1.5}, r"settings\.seed: 1\.5, expected .*integer"),
     ({"solvers": "z3"}, r"settings\.solvers: 'z3', expected .*array"),
     ({"solvers": [1]}, r"settings\.solvers\.0: 1, expected .*string"),
     ({"attack": 1}, r"settings\.attack: 1, expected .*boolean"),
     ({"certificate": 1}, r"settings\.certificate: 1, expected ")])
def test_data_that_are_no_settings(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings.from_json(wrong)


def test_settings_of_data_make_sense() -> None:
    with pytest.raises(UsageError, match="jobs = 0"):
        Settings.from_json({"jobs": 0})


def test_unknown_keywords_are_refused() -> None:
    problem, _ = ramp()
    with pytest.raises(TypeError, match="'timeout'"):
        verifex.verify(None, problem, timeout=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'attack'"):
        verifex.bound(None, problem, "output", attack=False)  # type: ignore[call-arg]


def ramp() -> tuple[Problem, Form]:
    """The false claim that relu(x0 - x1) + relu(x1) is at most 1.9 over [-1, 1]^2, and its form."""
    b = Builder()
    x = b.input("x", (2,))
    h = b.relu(b.affine(dense(np.array([[1.0, -1.0], [0.0, 1.0]])), x))
    y = b.affine(dense(np.array([[1.0, 1.0]])), h)
    form = Form.of({(y, 0): -1}, Fraction(19, 10))
    region = Region((Fraction(-1),) * 2, (Fraction(1),) * 2)
    return Problem(b.build({"y": y}), region, Atom(form)), form


@pytest.mark.parametrize("seed", [0, 11])
def test_the_seed_reaches_the_points_of_every_search(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    for module in (claims, extrema):
        honest = module.samples
        monkeypatch.setattr(
            module, "samples",
            lambda lo, hi, balls, seed, honest=honest: given.append(seed) or honest(
                lo, hi, balls, seed))
    problem, form = ramp()
    settings = Settings(engine="gates", attack=False, seed=seed, seconds=20.0)
    decide(problem, settings)
    find_range(problem, form, settings)
    assert given == [seed, seed]


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("1.5", 1.5), (".5", 0.5), ("1e2", 100), ("90s", 90), ("5m", 300), ("1h30m", 5400),
    ("1h 30m", 5400), ("2H", 7200), ("1d", 86400), ("250ms", 0.25), ("1.5h", 5400), ("1m30s", 90),
])
def test_times(text: str, seconds: float) -> None:
    assert read_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [
    "", "0", "-1", "soon", "5w", "30m1h", "1m1m", "5 m m", "m", "1:30", "nan", "inf", "1e9", "0s",
    "9" * 400, "1h30",
])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match=r"--wait .*expected a time above 0: 90 \(seconds\), 5m"):
        read_seconds(text, "--wait")
