"""Ways to spoil a certificate, or the files it is about; each takes random choices from `rng`.

A corruption maps a `Case` (network bytes, spec bytes, certificate lines) to another. Those that
change network or spec also put the new hash into the header half of the time: then nothing but the
derivation itself stands between a false claim and `valid`.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.helpers.certificate_names import digest, named, names, reading_of, renamed

Line = dict[str, Any]
SPLITS = ("split", "input", "whole")


@dataclass(frozen=True)
class Case:
    """What the checker is given; `lines` may hold raw text for what is no JSON."""

    network: bytes
    spec: bytes
    lines: tuple[Line | str, ...]
    made_for: tuple[bytes, bytes] | None = field(default=None, compare=False)
    """The network and the spec that the names in the lines are about."""

    def certificate(self) -> bytes:
        shown = (v if isinstance(v, str) else json.dumps(v, separators=(",", ":"))
                 for v in self.lines)
        return "".join(v + "\n" for v in shown).encode()

    def rehashed(self) -> Case:
        """The same with a header that names these very files, and with names of what they hold."""
        lines, now = list(self.lines), (self.network, self.spec)
        if self.made_for is not None and self.made_for != now:
            lines = renamed(lines, *(reading_of(*made, "spec.toml") for made in (
                self.made_for, now)))
        assert isinstance(lines[0], dict)
        lines[0] = {**lines[0], "network": digest(self.network), "spec": digest(self.spec)}
        return replace(self, lines=tuple(lines), made_for=now)

    def head(self) -> Line:
        assert isinstance(self.lines[0], dict)
        return self.lines[0]


def _edit(case: Case, at: int, line: Line | str | None) -> Case:
    """The case with one line replaced, or left out."""
    new = () if line is None else (line,)
    return replace(case, lines=(*case.lines[:at], *new, *case.lines[at + 1 :]))


def _pick(rng: random.Random, case: Case, wanted: Callable[[Line], bool]) -> tuple[int, Line]:
    """A random line (not the header) with a property; the last line where none has it."""
    places = [k for k, v in enumerate(case.lines) if k and isinstance(v, dict) and wanted(v)]
    at = rng.choice(places or [len(case.lines) - 1])
    line = case.lines[at]
    assert isinstance(line, dict)
    return at, copy.deepcopy(line)


def _has(*keys: str) -> Callable[[Line], bool]:
    return lambda line: any(k in line for k in keys)


# --- the tree -------------------------------------------------------------------------------


def leaf_dropped(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    return _edit(case, _pick(rng, case, _has("leaf"))[0], None)


def leaf_doubled(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has("leaf"))
    return replace(case, lines=(*case.lines[:at], line, *case.lines[at:]))


def line_dropped(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    return _edit(case, _pick(rng, case, lambda v: True)[0], None)


def child_replaced_by_leaf(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A split with all that is below it becomes one leaf."""
    at, _line = _pick(rng, case, _has(*SPLITS))
    todo, end = 1, at
    while todo and end < len(case.lines):
        line = case.lines[end]
        assert isinstance(line, dict)
        todo += any(key in line for key in SPLITS) - ("leaf" in line)
        end += 1
    return replace(case, lines=(*case.lines[:at], {"leaf": 1}, *case.lines[end:]))


def leaf_opened(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, _line = _pick(rng, case, _has("leaf"))
    return _edit(case, at, {"leaf": rng.choice((0, 2, -1, True, "1"))})


def split_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has(*SPLITS))
    if "split" in line:
        k = rng.randrange(3)
        if k == 2:
            line["split"] = [*line["split"][:2], str(Fraction(rng.randint(-9, 9), 64))]
        else:
            line["split"][k] += rng.choice((-2, -1, 1, 2))
    elif "input" in line:
        at_ = Fraction(line["input"][1]) + Fraction(rng.randint(-9, 9), 64)
        line["input"] = [line["input"][0], str(at_)]
    return _edit(case, at, line)


def split_on_input(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A split turned into one of an input: the children's bounds were for other domains."""
    at, _line = _pick(rng, case, _has(*SPLITS))
    value = str(Fraction(rng.randint(-64, 64), 64))
    return _edit(case, at, {"input": [rng.choice((0, 1, 7)), value]})


def lines_reordered(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    lines = list(case.lines)
    i, j = (rng.randrange(len(lines)) for _ in range(2))
    lines[i], lines[j] = lines[j], lines[i]
    return replace(case, lines=tuple(lines))


def tree_restricted(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """The tree is said to refute some disjuncts only."""
    at, _line = _pick(rng, case, _has("bound", "leaf", *SPLITS))
    parts = rng.choice(([0], [], [1], [0, 1], [-1], [9]))
    return replace(case, lines=(*case.lines[:at], {"parts": parts}, *case.lines[at:]))


# --- multipliers and bounds -----------------------------------------------------------------


def multiplier_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has("splits", "rows", "atoms"))
    key = rng.choice([k for k in ("splits", "rows", "atoms") if k in line] or ["splits"])
    entries = line.setdefault(key, [[0, 1, 0]])
    entry, how = rng.choice(entries), rng.randrange(5)
    if how == 0:
        entry[0] += rng.choice((-1, 1))
    elif how == 4 or len(entry) == 2:
        entry[1:] = [str(Fraction(rng.randint(-9, 99), rng.randint(1, 99)))]
    elif how == 1:
        entry[1] = -entry[1]
    elif how == 2:
        entry[1] += rng.choice((-1, 1, 1 << 40))
    else:
        entry[2] += rng.choice((-20, -1, 1, 20, 5000))
    return _edit(case, at, line)


def byte_flipped(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has("fractions"))
    given = line.setdefault("fractions", {"alpha 0": "gA=="})
    key = rng.choice(list(given) or ["alpha 0"])
    data = bytearray(base64.b64decode(given.get(key, "")) or b"\0")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    given[key] = base64.b64encode(bytes(data)).decode()
    return _edit(case, at, line)


def fractions_renamed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """Fractions of one group or kind are said to be those of another."""
    at, line = _pick(rng, case, _has("fractions"))
    given = line.setdefault("fractions", {"alpha 0": "gA=="})
    kind, _, group = rng.choice(list(given) or ["alpha 0"]).partition(" ")
    value = given.pop(f"{kind} {group}", "")
    new_kind = rng.choice((kind, "alpha", "tie", "below", "above", "mix"))
    new_group = rng.choice((group, *(str(k) for k in range(-1, 9))))
    given[f"{new_kind} {new_group}"] = value
    return _edit(case, at, line)


def bound_renumbered(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has("bound"))
    line["bound"] = line.get("bound", 0) + rng.choice((-2, -1, 1, 2))
    return _edit(case, at, line)


def bound_moved(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A bound that holds in a subtree is claimed at the root, or elsewhere in the tree."""
    at, line = _pick(rng, case, _has("bound"))
    rest = [*case.lines[:at], *case.lines[at + 1 :]]
    to = rng.choice((1, rng.randrange(1, len(rest) + 1)))
    return replace(case, lines=(*rest[:to], line, *rest[to:]))


def fact_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    at, line = _pick(rng, case, _has("fact"))
    if "fact" not in line:
        return _edit(case, at, {"fact": [0, 0, rng.choice((0, 2, 1, -1))]})
    k = rng.randrange(3)
    if k == 2:
        line["fact"][2] = rng.choice((-line["fact"][2], 0, 2, -3))
    elif isinstance(line["fact"][k], list):
        elements = line["fact"][k]
        elements[rng.randrange(len(elements))] += rng.choice((-1, 1))
    else:
        line["fact"][k] += rng.choice((-1, 1))
    return _edit(case, at, line)


def key_added(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A bound's value, or anything else that the format does not know."""
    at, line = _pick(rng, case, lambda v: True)
    extra: Line = {rng.choice(("v", "value", "bound", "closed")): rng.choice((1, -1, "9"))}
    return _edit(case, at, line | extra)


# --- the file -------------------------------------------------------------------------------


def truncated(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    data = case.certificate().decode()
    kept = data[: rng.randrange(len(data))]
    return replace(case, lines=tuple(kept.split("\n")))


def version_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    return _edit(case, 0, case.head() | {"vxc": rng.choice((0, 1, 3, "2", None, 2.0))})


def header_edited(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    head = copy.deepcopy(case.head())
    how = rng.randrange(5)
    if how == 0:
        known = [*names(head.get("atoms", "")), rng.getrandbits(61)]
        head["atoms"] = named(known[rng.randrange(2) :])
    elif how == 1:
        key = rng.choice(("networks", "parameters", "data", "nodes"))
        head[key] = rng.choice(({}, {"x": "y"}))
    elif how == 2:
        head[rng.choice(("network", "spec"))] = f"{rng.getrandbits(256):064x}"
    elif how == 3:
        head.pop(rng.choice(list(head)))
    else:
        head["witness"] = [str(Fraction(rng.randint(-64, 64), 64)) for _ in range(3)]
    return _edit(case, 0, head)


def junk_added(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    junk = rng.choice((
        "", "{}", "[]", "null", '{"leaf":1.0}', '{"bound":NaN}', "{", '{"leaf":1}}', '{"bound":0}',
        '{"bound":-1}', '{"split":[0,0]}', '{"leaf":1}', "\x00", '{"splits":[[0,1,0]]}',
        '{"fact":[0,0,1],"fractions":{"alpha 0":"//8="}}', '{"group":""}', '{"parts":[0]}',
        '{"whole":[0,0]}'))
    at = rng.randrange(len(case.lines) + 1)
    return replace(case, lines=(*case.lines[:at], junk, *case.lines[at:]))


def of_another(rng: random.Random, case: Case, others: Sequence[Case]) -> Case:
    """Another network's certificate, with its own header or under this one's."""
    other = rng.choice(others)
    head = rng.choice((other.head(), case.head(), {k: v for k, v in case.head().items()
                                                   if k not in ("x0", "atoms")}))
    return replace(case, lines=(head, *other.lines[1:]))


# --- what the certificate is about ----------------------------------------------------------


def _maybe_rehashed(rng: random.Random, case: Case, share: float) -> Case:
    return case.rehashed() if rng.random() < share else case


def network_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    data = bytearray(case.network)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return _maybe_rehashed(rng, replace(case, network=bytes(data)), 0.5)


def weight_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A bit of a weight, where the file holds little else, and a header to match."""
    data = bytearray(case.network)
    found = re.finditer(rb"\x00\x00[\x00-\xff][\x3c-\x40\xbc-\xc0]", case.network)
    places = [m.start() for m in found]
    if places:
        at = rng.choice(places) + rng.choice((2, 3))
        data[at] ^= rng.choice((0x80, 1 << rng.randrange(8)))
    return replace(case, network=bytes(data)).rehashed()


def spec_byte_changed(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    data = bytearray(case.spec)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
    return _maybe_rehashed(rng, replace(case, spec=bytes(data)), 0.7)


_BOUND = re.compile(r'^(at_least|above|at_most|below) = "?([-0-9/]+)"?$', re.MULTILINE)


def threshold_moved(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """The claim asks for more than was proved: a lower bound raised, an upper one lowered."""
    return harder(case, rng.choice((
        Fraction(1, 2**39), Fraction(1, 2**20), Fraction(1, 64), Fraction(1, 8), Fraction(2))))


def harder(case: Case, offset: Fraction) -> Case:
    """A claim that asks for so much more, with names and hashes to match."""
    text = case.spec.decode()

    def moved(m: re.Match[str]) -> str:
        value = Fraction(m[2]) + (offset if m[1] in ("at_least", "above") else -offset)
        return f'{m[1]} = "{value}"'

    return replace(case, spec=_BOUND.sub(moved, text).encode()).rehashed()


def region_widened(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A wider region: the radius doubled, the centre moved, constraints and freezing left out."""
    text, how = case.spec.decode(), rng.randrange(3)
    if how == 0:
        text = re.sub(r'^linf = "?([-0-9/]+)"?$', lambda m: f'linf = "{Fraction(m[1]) * 3}"', text,
                      flags=re.MULTILINE)
    elif how == 1:
        text = re.sub(r"^(freeze|only|clip|linear) = .*\n", "", text, flags=re.MULTILINE)
    else:
        text = re.sub(r'point = \["?(-?\d+)', lambda m: f'point = ["{int(m[1]) + 1}' if '"' in m[0]
                      else f"point = [{int(m[1]) + 1}", text)
    return replace(case, spec=text.encode()).rehashed()


def claim_negated(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """The contrary claim, or one about another component, class or output."""
    text, how = case.spec.decode(), rng.randrange(3)
    swap = {"at_least": "below", "below": "at_least", "at_most": "above", "above": "at_most",
            "increasing": "decreasing", "decreasing": "increasing"}
    if how == 0:
        text = re.sub(r"\b(at_least|below|at_most|above|increasing|decreasing)\b",
                      lambda m: swap[m[1]], text)
    elif how == 1:
        text = re.sub(r"^(component|feature) = (\d)", lambda m: f"{m[1]} = {1 - min(1, int(m[2]))}",
                      text, flags=re.MULTILINE)
    else:
        text = re.sub(r'^output = .*$', f'output = "logit:{rng.randrange(2)}"', text, count=1,
                      flags=re.MULTILINE)
    return replace(case, spec=text.encode()).rehashed()


def network_swapped(rng: random.Random, case: Case, others: Sequence[Case]) -> Case:
    """The spec and the tree with another network's file, and a header that names it."""
    return replace(case, network=rng.choice(others).network).rehashed()


CORRUPTIONS: tuple[Callable[[random.Random, Case, Sequence[Case]], Case], ...] = (
    leaf_dropped, leaf_doubled, line_dropped, child_replaced_by_leaf, leaf_opened, split_changed,
    split_on_input, lines_reordered, tree_restricted, multiplier_changed, byte_flipped,
    fractions_renamed, bound_renumbered, bound_moved, fact_changed, key_added, truncated,
    version_changed, header_edited, junk_added, of_another, network_changed, weight_changed,
    spec_byte_changed, threshold_moved, region_widened, claim_negated, network_swapped,
)
