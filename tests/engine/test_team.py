"""One search on several processes: the same answers, complete records, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import checker_parts as checker
from tests.helpers.gradient_nets import gradient_problem
from tests.helpers.marks import first_quick
from tests.helpers.spec_nets import pair
from tests.helpers.waiting import hear_interrupts, until
from verifex.certificate.write import proof_lines, write
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.plain_bounder import PlainBounder
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.execute.channel import Channel, dumps, loads
from verifex.engine.execute.child_process import ChildProcess, ForkedCopy
from verifex.engine.portfolio.engine import Turn
from verifex.engine.ranges import find_range
from verifex.engine.search.claims import ClaimSearch, decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.domains import COLUMNS, Domains, WarmStart, concatenate, whole
from verifex.engine.search.gates.policy import Stats
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.record import AtomBound, LocalFacts, ProofNode
from verifex.engine.search.workers import forked, parcels, team
from verifex.engine.verdict import Outcome
from verifex.errors import VerifexError
from verifex.ir.formula import Atom, Form
from verifex.problem.spec.build import read_problem
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = SearchOptions(
    width=4, share_after=0.0, share_from=2, root_effort=Effort(0), effort=Effort(0)
)


def seconds(t: float, threads: int) -> Budget:
    return Budget(t, 4 << 30, threads)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Processes that searches of the test start."""
    pids: list[int] = []
    fork = os.fork

    def noted() -> int:
        pid = fork()
        if pid:
            pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", noted)
    return pids


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    "options", first_quick([{}, {"refresh": False}, {"inputs": True, "refresh": False}])
)
def test_ranges_are_those_of_one_process(
    options: dict[str, Any], threads: int, forks: list[int]
) -> None:
    asked = replace(AT_ONCE, **options, max_domains=1000)
    for seed in range(3):
        problem, forms = gradient_problem(seed, (3, 5, 4, 1) if options else (3, 8, 6, 1))
        alone = minima(problem, forms, seconds(60.0, 1), asked)[0]
        assert len(forks) == seed * (threads - 1)
        found, stats, _, _ = minima(problem, forms, seconds(60.0, threads), asked)
        assert len(forks) == (seed + 1) * (threads - 1)
        assert not stats.lost
        if options.get("inputs"):  # where inputs are split, not everything closes: bounds hold
            assert all(m.bound <= a.attained + 1e-7 for m, a in zip(found, alone, strict=True))
            continue
        for a, m in zip(alone, found, strict=True):
            assert m.bound == pytest.approx(a.bound, abs=1e-7)
            assert m.attained == pytest.approx(a.attained, abs=1e-7)
    assert gone(forks)


@pytest.mark.slow
def test_claims_are_decided_as_by_one_process(forks: list[int]) -> None:
    """Thresholds on both sides of the worst case: both answers come, and a witness from wherever
    it is found ends the search."""
    outcomes = []
    for seed in range(8):
        problem, forms = gradient_problem(seed)
        least = minima(problem, forms[:1], seconds(60.0, 1), AT_ONCE)[0][0].attained
        for offset in (Fraction(-1, 1000), Fraction(1, 1000)):
            claim = Atom(Form(forms[0].terms, -(Fraction(least) + offset)))
            asked = replace(problem, require=claim)
            found = decide_search(asked, seconds(60.0, 2), AT_ONCE)
            assert (found.closed is not None) == (offset < 0)
            assert (found.witness is not None) == (offset > 0)
            outcomes.append(found.closed is not None)
    assert len(forks) >= 8
    assert gone(forks)
    assert 0 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize("threads", [2, 3])
def test_slices_lose_nothing_that_other_processes_had_open(
    threads: int, forks: list[int]
) -> None:
    """Processes end with each slice: what waits in them is gone on with in the next one."""
    problem, forms = gradient_problem(3, (4, 16, 14, 1))
    least = minima(problem, forms[:1], seconds(60.0, 1), AT_ONCE)[0][0].attained
    claim = Atom(Form(forms[0].terms, -(Fraction(least) - Fraction(1, 20))))
    whole_time = seconds(600.0, threads)
    turn = Turn(whole_time)
    search = ClaimSearch(
        replace(problem, require=claim), turn.budget, AT_ONCE, whole=whole_time)
    rounds = 0
    while not search.ended and rounds < 500:
        turn.begin(0.2)
        search.go_on()
        rounds += 1
    found = search.result()
    assert len(forks) >= 2 * (threads - 1)
    assert found.closed is not None
    assert not found.closed.proof.open
    assert gone(forks)


@pytest.mark.slow
@pytest.mark.parametrize("refresh", [True, False])
def test_certificates_of_shared_searches_are_accepted(
    tmp_path: Path, refresh: bool, forks: list[int]
) -> None:
    shared = proved = facts = 0
    options = replace(AT_ONCE, refresh=refresh, width=2, max_domains=400)
    for seed in range(2000, 2025):
        kind = ("component", "l1", "linf", "order", "output")[seed % 5]
        p = pair(seed, tmp_path, kind, hard=True)
        problem, codes, late = p.problem(), [], False
        for threads in (1, 2):
            before, budget = len(forks), seconds(20.0, threads)
            found = decide_search(problem, budget, options)
            late = late or budget.spent
            if found.closed is None or found.stats.ties:
                codes.append(-1)
                continue
            lines = list(proof_lines(problem, read_problem(p.spec, p.network).files, found.closed))
            write(tmp_path / "proof.vxc", iter(lines))
            files = [str(p.network), str(p.spec), str(tmp_path / "proof.vxc")]
            codes.append(checker.check(files)[0])
            if len(forks) > before:
                shared += 1
                proved += codes[-1] == 0
                first = next(k for k, line in enumerate(lines) if "split" in line)
                facts += sum("fact" in line for line in lines[first:])
        assert late or codes[0] == codes[1]  # one of them may have had no time to finish
    assert shared >= 5
    assert proved >= 0.9 * shared
    assert not refresh or facts > 0


def test_the_log_counts_all_processes(forks: list[int]) -> None:
    problem, forms = gradient_problem(1)
    records: list[dict[str, Any]] = []
    _, stats, _, _ = minima(problem, forms, seconds(60.0, 2), AT_ONCE, records.append)
    searches = [r for r in records if r["event"] == "search"]
    assert forks
    assert searches[-1]["domains"] == stats.domains
    assert searches[-1]["open"] == 0
    assert searches[-1]["gap"] == 0
    for key in ("t", "domains", "leaves"):
        assert [r[key] for r in searches] == sorted(r[key] for r in searches)


def test_small_questions_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", never)
    problem, forms = gradient_problem(0, (3, 4, 4, 1))
    minima(problem, forms, seconds(60.0, 2), SearchOptions())
    many, rows = gradient_problem(0)
    monkeypatch.setattr(PlainBounder, "forks", False)
    minima(many, rows, seconds(60.0, 2), AT_ONCE)


def test_nothing_is_forked_where_torch_sees_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = gradient_problem(0, (3, 4, 4, 1))
    bounder = TorchBounder(problem.graph)
    assert bounder.forks
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not bounder.forks


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [50, 400])
def test_the_number_of_domains_stays_bounded(limit: int, forks: list[int]) -> None:
    problem, forms = gradient_problem(1)
    best = minima(problem, forms, seconds(60.0, 1), AT_ONCE)[0]
    options = replace(AT_ONCE, max_domains=limit)
    found, stats, _, _ = minima(problem, forms, seconds(60.0, 2), options)
    assert forks
    assert stats.domains <= 2 * limit + 200
    for a, m in zip(best, found, strict=True):
        assert m.bound <= a.bound + 1e-7


def test_the_time_limit_is_kept(forks: list[int]) -> None:
    problem, forms = gradient_problem(3, (8, 16, 16, 1))
    found, stats, _, _ = minima(problem, forms, seconds(2.0, 2), replace(AT_ONCE, width=64))
    assert forks
    assert gone(forks)
    assert not stats.lost
    for m in found:
        assert -np.inf < m.bound <= m.attained
    assert any(m.bound < m.attained for m in found)  # it was the time that ended the search


# --- processes that fail -----------------------------------------------------------------------


def dies(_: Any, __: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_held_stays_open(
    forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, forms = gradient_problem(1)
    monkeypatch.setattr(forked.Worker, "run", dies)
    best = minima(problem, forms, seconds(60.0, 1), AT_ONCE)[0]
    found, stats, _, _ = minima(problem, forms, seconds(60.0, 2), AT_ONCE)
    assert stats.lost == ["a process of the search died of signal 9"]
    for a, m in zip(best, found, strict=True):
        assert m.bound <= a.bound + 1e-7
    assert any(m.bound < a.bound - 1e-3 for a, m in zip(best, found, strict=True))
    claim = Atom(Form(forms[0].terms, -(Fraction(best[0].attained) - Fraction(1, 1000))))
    lost = decide_search(replace(problem, require=claim), seconds(60.0, 2), AT_ONCE)
    assert lost.closed is None
    assert lost.witness is None
    assert lost.lower < 0
    assert gone(forks)


def test_a_killed_process_is_a_reason(
    forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, forms = gradient_problem(1)
    monkeypatch.setattr(forked.Worker, "run", dies)
    monkeypatch.setattr("verifex.engine.search.gates.search.SearchOptions", lambda **_: AT_ONCE)
    least = minima(problem, forms[:1], seconds(60.0, 1), AT_ONCE)[0][0].attained
    claim = Atom(Form(forms[0].terms, -(Fraction(least) - Fraction(1, 1000))))
    options = Settings(solvers=(), attack=False, threads=2)
    verdict = decide(replace(problem, require=claim), options)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "died of signal 9" in verdict.reason
    assert decide(replace(problem, require=claim), replace(options, threads=1)).outcome is (
        Outcome.CLAIMED
    )
    told = find_range(problem, forms[0], options)
    assert "died of signal 9" in told.reason


@pytest.mark.parametrize("error", [ValueError("planted"), MemoryError()])
def test_an_error_in_a_process(
    error: Exception, forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise error

    problem, forms = gradient_problem(1)
    monkeypatch.setattr(forked.Worker, "run", fails)
    if isinstance(error, MemoryError):
        _, stats, _, _ = minima(problem, forms, seconds(60.0, 2), AT_ONCE)
        assert stats.lost == ["a process of the search ended with exit status 3"]
    else:
        with pytest.raises(VerifexError, match="ValueError: planted"):
            minima(problem, forms, seconds(60.0, 2), AT_ONCE)
    assert gone(forks)


def grows(*_: Any) -> None:
    held = b"x" * (64 << 20)
    time.sleep(3600)
    del held


def test_a_process_beyond_the_memory_limit_is_killed(
    forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, forms = gradient_problem(1)
    monkeypatch.setattr(forked.Worker, "run", grows)
    looking = replace(AT_ONCE, memory_look=0.0)
    _, stats, _, _ = minima(problem, forms, Budget(60.0, 1 << 20, 2), looking)
    assert stats.lost == ["a process of the search died of signal 9"]
    assert gone(forks)


def test_an_interrupt_ends_all_processes(forks: list[int]) -> None:
    def interrupt(_: dict[str, Any]) -> None:
        if forks:
            raise KeyboardInterrupt

    problem, forms = gradient_problem(1)
    with pytest.raises(KeyboardInterrupt):
        minima(problem, forms, seconds(60.0, 2), AT_ONCE, interrupt)
    assert forks
    assert gone(forks)


LONG = """
import os
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.search import SearchOptions
from tests.helpers.gradient_nets import gradient_problem
problem, forms = gradient_problem(3, (8, 16, 16, 1))
at_once = SearchOptions(width=64, share_after=0.0, root_effort=Effort(0), effort=Effort(0))
fork = os.fork
def noted():
    pid = fork()
    if pid: print(pid, flush=True)
    return pid
os.fork = noted
minima(problem, forms, Budget(600.0, 4 << 30, 3), at_once)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_no_process_outlives_the_first(number: signal.Signals) -> None:
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=quiet, text=True, cwd=ROOT,
        preexec_fn=hear_interrupts,
    ) as process:
        pids = [int(process.stdout.readline()) for _ in range(2)]
        time.sleep(0.3)
        assert not gone(pids[:1])
        os.kill(process.pid, number)
        process.wait()
        assert number == signal.SIGKILL or process.returncode != 0
    assert until(lambda: gone(pids))


# --- messages -----------------------------------------------------------------------------------


def test_messages_come_back_as_they_were_sent() -> None:
    value = {
        "a": [1, 2.5, None, "x", True, float("inf")], "b": np.arange(6.0).reshape(2, 3),
        "c": {"d": np.zeros((0, 4), dtype=np.int8), "e": np.array([True, False])},
        "f": np.float64(0.1), "g": np.int64(7), "h": (1, 2),
    }
    got = loads(dumps(value))
    assert got["a"] == value["a"]
    assert (got["f"], got["g"], got["h"]) == (0.1, 7, [1, 2])
    for sent, came in (
        (value["b"], got["b"]), (value["c"]["d"], got["c"]["d"]), (value["c"]["e"], got["c"]["e"])
    ):
        assert sent.dtype == came.dtype
        assert np.array_equal(sent, came)
    with pytest.raises(TypeError, match="set in a message"):
        dumps({"a": {1}})


def test_long_messages_pass_each_other() -> None:
    ends = [Channel(end) for end in socket.socketpair()]
    data = np.random.default_rng(0).random(400_000)
    came: list[list[np.ndarray]] = [[], []]

    def talk(k: int) -> None:
        for n in range(3):
            ends[k].send({"k": k, "n": n, "data": data + n})
        while ends[k].waiting or len(came[k]) < 3:
            ends[k].pump(1.0)
            while (message := ends[k].receive()) is not None:
                assert message["k"] == 1 - k
                came[k].append(message["data"])

    threads = [threading.Thread(target=talk, args=(k,)) for k in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    for got in came:
        assert [np.array_equal(d, data + n) for n, d in enumerate(got)] == [True] * 3
    ends[0].close()
    ends[1].pump(1.0)
    assert ends[1].closed
    ends[1].close()


def test_a_message_that_came_while_sending_is_not_waited_for() -> None:
    mine, theirs = (Channel(end) for end in socket.socketpair())
    search = SimpleNamespace(
        proof=SimpleNamespace(nodes=[]), stats=Stats(), deal=lambda _: [],
        policy=SimpleNamespace(hear=lambda _: None),
    )
    worker = forked.Worker(search, mine)
    theirs.send({"stop": True})
    theirs.pump(1.0)
    mine.pump(1.0)  # as when a report is sent
    thread = threading.Thread(target=worker._listen, args=(None,), daemon=True)
    thread.start()
    thread.join(5.0)
    late = thread.is_alive()
    theirs.close()
    thread.join(5.0)
    mine.close()
    assert not late
    assert worker._stopped


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return _same(vars(a), vars(b)) if hasattr(a, "__dict__") else a == b


def test_parcels_hold_whole_domains_and_nodes() -> None:
    packed = {
        Parameter(ParameterKind.ALPHA, 3): np.array([1, 128], dtype=np.uint8),
        Parameter(ParameterKind.MIX_BELOW, 5): np.array([7], dtype=np.uint8),
        Parameter(ParameterKind.BETA, 2): {4: 0.25},
        REGION_ROWS: {0: 1.5},
    }
    facts = LocalFacts(2, np.array([[0, 1], [3, -1]], dtype=np.int32), packed, [packed, {}])
    lo, hi = np.zeros((2, 3)), np.ones((2, 3))
    signs = np.array([[0, 1, -1], [0, 0, 1]], dtype=np.int8)
    sent = whole(lo, hi, signs, [[0, 4], [2]], forms=5, waits=True)
    sent.node[:], sent.value[:], sent.gate[:], sent.tight[:] = [9, 11], [-0.5, 0.25], 1, 3
    sent.false[0, 1], sent.wait[1, 0, 2] = True, 3
    slopes = {Parameter(ParameterKind.ALPHA, 3): np.array([[0.5, 1.0], [0.0, 0.25]])}
    sent.warm[0] = WarmStart(sent.rows[0], slopes)
    sent.bounds[0], sent.kept[0] = np.array([-0.5, 1.0]), {2: (lo[0], hi[0])}
    sent.seen[1] = np.ones((2, 3), dtype=bool)
    sent.own[0], sent.pending[0], sent.starts[0] = {4: (hi[0], hi[0])}, [facts], {2: {1: packed}}
    back = parcels.domains_from(loads(dumps(parcels.domains_to(sent))), sent)
    sent.own[0], sent.pending[0], sent.starts[0] = {}, [], {}  # these stay behind
    for name in COLUMNS:
        assert _same(list(getattr(sent, name)), list(getattr(back, name))), name
    back.false[:] = True  # columns that came are written to
    light = parcels.unbundle(loads(dumps(parcels.bundle(sent))), sent)
    for name in ("lo", "hi", "signs", "tree", "value", "false", "rows", "bounds"):
        assert _same(list(getattr(sent, name)), list(getattr(light, name))), name
    assert light.node.tolist() == [-1, -1]
    assert len(parcels.unbundle(loads(dumps(parcels.bundle(sent.take(slice(0, 0))))), sent)) == 0
    rational = {
        Parameter(ParameterKind.BETA, 2): {4: Fraction(1, 3)}, REGION_ROWS: {0: Fraction(2, 7)}}
    bounds = [
        AtomBound(1, 0.5, packed, {2: 0.25}),
        AtomBound(0, 0.0, rational, {2: Fraction(5, 3)}, exact=True)]
    node = ProofNode(3, 5, -1, None, 0.0, bounds, "bounds", (7, 8), [facts])
    value = loads(dumps(parcels.node_to(node)))
    came = parcels.node_from(value, 3)
    parcels.add_content(came, value)
    came.children = tuple(value["children"])
    assert _same(vars(node), vars(came))
    assert isinstance(came.bounds[1].more[2], Fraction)




# --- ends of a search that cross each other on the way -------------------------------------------


class _Pauses:
    """Stands for a search whose one step closes all that it has, after the time is over."""

    def __init__(self) -> None:
        self.stats, self.unresolved, self.log = Stats(), list[Domains](), None
        self.policy = SimpleNamespace(hear=lambda _: None, tell=dict, finished=lambda: False)
        self.options = SimpleNamespace(record=False)
        self.proof = SimpleNamespace(nodes=[], add=lambda _: 0)
        self.nothing = _domain(0.0).take(slice(0, 0))
        self.queue, self.elsewhere, self.least = self.nothing, (0, np.inf), 0.0
        self.started = time.monotonic()

    @property
    def over(self) -> bool:
        return time.monotonic() - self.started > 0.3

    @property
    def open(self) -> int:
        return len(self.queue)

    def deal(self, parts: int) -> list[Domains]:
        all_, self.queue = self.queue, self.nothing
        return [all_.take(slice(k, None, parts)) for k in range(parts)]

    def adopt(self, domains: Domains) -> None:
        self.queue = concatenate([self.queue, domains])

    def open_domains(self) -> Domains:
        return concatenate([self.queue, *self.unresolved])

    def step(self) -> None:
        time.sleep(0.5)
        self.queue = self.nothing

    def report(self) -> None: ...


def _domain(value: float) -> Domains:
    out = whole(np.zeros((1, 2)), np.ones((1, 2)), np.zeros((1, 1), np.int8), [[0]])
    out.node[0], out.value[0] = 0, value
    return out


def test_a_parcel_on_its_way_at_the_end_stays_open() -> None:
    """Larger than a socket's buffer, it is still partly ours when the other process ends."""
    search: Any = _Pauses()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            forked.Worker(search, Channel(theirs)).run(_domain(-1.0))
        finally:
            os._exit(0)
    theirs.close()
    shared = object.__new__(team.Team)
    shared.search = search
    member = team._Member(
        ChildProcess(ForkedCopy(pid), Channel(ours)), _domain(-1.0), open=1)
    shared.members = [member]
    try:
        late = _domain(-7.0)
        slopes = {Parameter(ParameterKind.ALPHA, 1): np.zeros((1, 400_000))}
        late.warm[0] = WarmStart(late.rows[0], slopes)
        member.channel.send({"domains": parcels.domains_to(late)})
        member.lent, member.sent = concatenate([member.lent, late]), member.sent + 1
        member.channel.pump(0.0)
        time.sleep(0.8)  # the first process is in a step of its own
        shared.end()
        assert member.ended
        assert -7.0 in search.open_domains().value
    finally:
        member.child.end()


def test_without_processes_the_search_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    problem, forms = gradient_problem(1)
    best = minima(problem, forms, seconds(60.0, 1), AT_ONCE)[0]
    monkeypatch.setattr(os, "fork", none_left)
    told: list[dict[str, Any]] = []
    found = minima(problem, forms, seconds(60.0, 2), AT_ONCE, told.append)[0]
    assert any(entry["event"] == "processes" for entry in told)
    for a, m in zip(best, found, strict=True):
        assert m.bound == pytest.approx(a.bound, abs=1e-6)
