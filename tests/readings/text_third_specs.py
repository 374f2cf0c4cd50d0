"""A third reader of specs: a small network and its gradients by hand, properties by their words."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.readings.text_third import Constraint, Silent, number

F = Fraction
FIRST = [[F(1), F(-1), F(1, 2)], [F(-1, 2), F(2), F(1, 4)], [F(1), F(1), F(-1)], [F(0), F(1), F(1)]]
SHIFT = [F(1, 4), F(-1, 8), F(1, 2), F(3, 8)]
SECOND = [[F(1), F(-1), F(1, 2), F(1)], [F(1, 2), F(1), F(-1), F(-1, 4)]]
"""y = SECOND relu(FIRST x + SHIFT): three inputs, two outputs."""
SIZE, CLASSES = 3, 2
NAMES = ("age", "pay", "job_a")


def outputs(x: Sequence[F]) -> list[F]:
    z = [sum((w * v for w, v in zip(row, x)), b) for row, b in zip(FIRST, SHIFT)]
    return [sum((w * max(v, F(0)) for w, v in zip(row, z)), F(0)) for row in SECOND]


def slope(weights: Sequence[F], x: Sequence[F]) -> list[F]:
    """The gradient of a weighted sum of the outputs."""
    z = [sum((w * v for w, v in zip(row, x)), b) for row, b in zip(FIRST, SHIFT)]
    if any(v == 0 for v in z):
        raise Silent
    back = [
        sum((c * SECOND[k][h] for k, c in enumerate(weights)), F(0)) * (v > 0)
        for h, v in enumerate(z)
    ]
    return [sum((g * FIRST[h][i] for h, g in enumerate(back)), F(0)) for i in range(SIZE)]


def _number(value: Any) -> F:
    if isinstance(value, F) or type(value) is int:
        return F(value)
    if isinstance(value, str):
        return number(value)
    raise Silent


def _real(text: str) -> F:
    return number(text.replace("_", ""))


class Reading:
    """One spec. Only what is plainly written is read: anything else makes it silent."""

    def __init__(self, text: str) -> None:
        self.spec = tomllib.loads(text, parse_float=_real)
        self._only(self.spec, "verifex input region explain require assume kink")
        if type(self.spec.get("verifex")) is not int or not self.spec.get("require"):
            raise Silent
        given = self.spec.get("input", {})
        self._only(given, "point names")
        self.names = given.get("names", [])
        if self.names and (len(self.names) != SIZE or len(set(self.names)) < SIZE):
            raise Silent
        point = given.get("point")
        self.x0 = None if point is None else [_number(v) for v in point]
        explain = self.spec.get("explain")
        self.explain = None if explain is None else dict(explain)
        if explain is not None:
            self._only(explain, "output reduce features attribution")

    @staticmethod
    def _only(table: Any, keys: str) -> None:
        if not isinstance(table, dict) or not table.keys() <= set(keys.split()):
            raise Silent

    def breaks(self, x: Sequence[F]) -> bool:
        """Whether a point is a counterexample."""
        assume = [self.holds(p, x) for p in self.spec.get("assume", [])]
        require = [self.holds(p, x) for p in self.spec["require"]]
        return self.inside(x) and all(assume) and not all(require)

    # names and regions

    def find(self, key: Any) -> list[int]:
        if type(key) is int and 0 <= key < SIZE:
            return [key]
        if not isinstance(key, str):
            raise Silent
        if key in self.names:
            return [self.names.index(key)]
        if key.startswith("x[") and key.endswith("]") and key[2:-1] in ("0", "1", "2"):
            return [int(key[2:-1])]
        if key.endswith("*") and key.count("*") == 1 and not set(key) & set("?[]"):
            labels = self.names or [f"x[{i}]" for i in range(SIZE)]
            found = [i for i, k in enumerate(labels) if k.startswith(key[:-1])]
            if found:
                return found
        raise Silent

    def select(self, keys: Any) -> list[int]:
        listed = keys if isinstance(keys, list) else [keys]
        return sorted({i for k in listed for i in self.find(k)})

    def each(self, value: Any) -> list[F | None]:
        if isinstance(value, list):
            return [_number(v) for v in value]
        if not isinstance(value, dict):
            return [_number(value)] * SIZE
        out: list[F | None] = [None] * SIZE
        for broad in (True, False):
            for key, v in value.items():
                if ("*" in key) == broad:
                    for i in self.find(key):
                        out[i] = _number(v)
        return out

    def inside(self, x: Sequence[F]) -> bool:
        r = self.spec.get("region", {})
        self._only(r, "linf l1 box clip freeze only integer one_hot linear")
        frozen = set(self.select(r.get("freeze", [])))
        if "only" in r:
            frozen |= set(range(SIZE)) - set(self.select(r["only"]))
        fine = all(x[i].denominator == 1 for i in self.select(r.get("integer", [])))
        for group in r.get("one_hot", []):
            found = [x[i] for i in self.select(group)]
            fine &= sorted(found) == [0] * (len(found) - 1) + [1]
        for key in ("box", "clip"):
            if key in r:
                box = r[key]
                ends = box if isinstance(box, list) else [box.get("lo", {}), box.get("hi", {})]
                lo, hi = map(self.each, ends)
                fine &= all(a is None or a <= v for a, v in zip(lo, x))
                fine &= all(b is None or v <= b for b, v in zip(hi, x))
        for text in (
            r["linear"]
            if isinstance(r.get("linear"), list)
            else ([r["linear"]] if "linear" in r else [])
        ):
            fine &= Constraint(text, self.names, SIZE).truth()(x)
        if self.x0 is None:
            return fine
        moved = [v - a for v, a in zip(x, self.x0)]
        if "linf" in r:
            fine &= all(abs(d) <= (e or 0) for d, e in zip(moved, self.each(r["linf"])))
        if "l1" in r:
            fine &= sum(abs(d) for i, d in enumerate(moved) if i not in frozen) <= _number(r["l1"])
        return fine and all(moved[i] == 0 for i in frozen)

    # explanations

    def weights(self, value: Any) -> list[F]:
        ranks = (
            [] if self.x0 is None else sorted(range(CLASSES), key=lambda c: -outputs(self.x0)[c])
        )
        named = dict(zip(("predicted", "runner_up"), ranks)) | {str(c): c for c in range(CLASSES)}
        if isinstance(value, dict) and list(value) == ["weights"]:
            return [_number(v) for v in value["weights"]]
        if value == "sum":
            return [F(1)] * CLASSES
        if value == "predicted":
            value = "logit:predicted"
        head, _, tail = value.partition(":") if isinstance(value, str) else ("", "", "")
        picks = [named.get(p.strip(" "), -1) for p in tail.split(",")]
        if {"logit": 1, "margin": 2}.get(head) != len(picks) or min(picks) < 0:
            raise Silent
        return [F((c == picks[0]) - (c in picks[1:])) for c in range(CLASSES)]

    def attribution(self, x: Sequence[F] | None) -> list[F]:
        if self.explain is None or x is None:
            raise Silent
        found = slope(self.weights(self.explain.get("output", "predicted")), x)
        kind = self.explain.get("attribution", "gradient")
        if kind in ("input_x_gradient", "input*gradient"):
            found = [a * v for a, v in zip(found, x)]
        elif kind != "gradient":
            raise Silent
        how = self.explain.get("reduce", "signed")
        if how not in ("signed", "abs"):
            raise Silent
        return [abs(v) for v in found] if how == "abs" else found

    def chosen(self) -> list[int]:
        if self.explain is None:
            raise Silent
        return self.select(self.explain.get("features", list(range(SIZE))))

    # properties

    def holds(self, p: Any, x: Sequence[F]) -> bool:
        kinds = [
            k
            for k in (
                "all",
                "any",
                "not",
                "class",
                "component",
                "sign",
                "distance",
                "top_k",
                "order",
                "monotone",
            )
            if k in p
        ]
        kinds = kinds or (["output"] if "output" in p else [])
        if len(kinds) != 1:
            raise Silent
        return bool(getattr(self, f"_{kinds[0]}")(p, x))

    def _bounded(self, p: Any, key: str, values: Sequence[F]) -> bool:
        self._only(p, f"{key} at_least at_most above below")
        tests = {"at_least": F.__ge__, "at_most": F.__le__, "above": F.__gt__, "below": F.__lt__}
        bounds = {k: _number(p[k]) for k in tests if k in p}
        if not bounds:
            raise Silent
        return all(tests[k](v, b) for k, b in bounds.items() for v in values)

    def _all(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "all")
        return all([self.holds(q, x) for q in p["all"]])

    def _any(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "any")
        return any([self.holds(q, x) for q in p["any"]])

    def _not(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "not")
        return not self.holds(p["not"], x)

    def _class(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "class")
        c = p["class"]
        if c == "unchanged":
            c = self.weights("predicted").index(1)
        if type(c) is not int:
            raise Silent
        y = outputs(x)
        return all(y[c] > v for j, v in enumerate(y) if j != c)

    def _output(self, p: Any, x: Sequence[F]) -> bool:
        form = self.weights(p["output"])
        return self._bounded(p, "output", [sum((w * v for w, v in zip(form, outputs(x))), F(0))])

    def _component(self, p: Any, x: Sequence[F]) -> bool:
        found = self.attribution(x)
        return self._bounded(p, "component", [found[i] for i in self.select(p["component"])])

    def _sign(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "sign which threshold at_least")
        a, b, least = self.attribution(x), self.attribution(self.x0), _number(p.get("threshold", 0))
        which = [i for i in self.select(p.get("which", self.chosen())) if abs(b[i]) >= least]
        if not which or any(b[i] == 0 for i in which):
            raise Silent
        kept = sum(a[i] * b[i] > 0 for i in which)
        return kept >= p.get("at_least", len(which))

    def _distance(self, p: Any, x: Sequence[F]) -> bool:
        pairs = [(self.attribution(x)[i], self.attribution(self.x0)[i]) for i in self.chosen()]
        moved = [abs(a - b) for a, b in pairs]
        if p["distance"] not in ("l1", "linf"):
            raise Silent
        size = sum(moved) if p["distance"] == "l1" else max(moved)
        return self._bounded(p, "distance", [F(size)])

    def _top_k(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "top_k overlap_at_least")
        k, a, b = p["top_k"], self.attribution(x), self.attribution(self.x0)
        chosen = self.chosen()
        first = sorted(chosen, key=lambda i: -b[i])
        if k < len(chosen) and b[first[k - 1]] == b[first[k]]:
            raise Silent
        # Ties count against: a component is in only if fewer than k others reach it.
        inside = sum(
            sum(a[j] >= a[i] for j in chosen if j != i and j not in first[:k])
            + sum(a[j] > a[i] for j in first[:k])
            < k
            for i in first[:k]
        )
        return inside >= p.get("overlap_at_least", k)

    def _order(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "order")
        if p["order"] == "unchanged":
            b = self.attribution(self.x0)
            places = sorted(self.chosen(), key=lambda i: -b[i])
        else:
            places = [i for key in p["order"] for i in self.find(key)]
        a = self.attribution(x)
        return all(a[i] > a[j] for i, j in pairwise(places))

    def _monotone(self, p: Any, x: Sequence[F]) -> bool:
        self._only(p, "monotone feature output")
        default = (self.explain or {}).get("output", "predicted")
        found = slope(self.weights(p.get("output", default)), x)
        sense = {"increasing": 1, "decreasing": -1}[p["monotone"]]
        return all(sense * found[i] >= 0 for i in self.select(p["feature"]))
