"""What a spec claims of a network."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from typing import Any

from ..bounds.at_point import exactly
from ..failures import Bad, at, need, pick
from ..files import read
from ..graph.forms import ONE, ZERO, Form, gap, total
from ..graph.symbolic import SymbolicTensor
from ..onnx.network import Network
from ..onnx.operators.windows import channels
from ..onnx.rounding import nearest
from .data_files import array, records
from .decimals import (
    NUMBER,
    decimal,
    exact,
    full,
    listed,
    numbers,
    numeric,
    shaped,
    table,
    whole,
    word,
)
from .element_names import ElementNames
from .expression import expression_form
from .formulas import Formula, every, negate

NAME = r"""x\[[ \t]*(?:"[^"]*"|'[^']*')[ \t]*\]|[^\W\d]\w*(?:\[[^\[\]"']*\])?"""
TERM = re.compile(rf"[ \t]*([+-]?)[ \t]*(?:(?P<a>{NUMBER})(?:[ \t]*\*[ \t]*(?P<name>{NAME}))?|"
                  rf"(?P<alone>{NAME})(?:[ \t]*(?P<by>[*/])[ \t]*(?P<b>{NUMBER}))?)[ \t]*")
LINK = re.compile(r"<=|>=|==|[+-]|\Z")
LIMITS = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}


class Claim:
    """A spec about a network: region, reference, attribution, and the broken claim as a formula."""

    def __init__(self, spec: dict[str, Any], folder: str, net: Network) -> None:
        table(spec, "verifex name network network_output arithmetic kink input region explain "
                    "require assume")
        need(whole(spec.get("verifex")) == 1, "not version 1 of the language")
        word(spec.get("arithmetic", "real"), "real")
        self.adopt(net)
        self.folder, self.output = folder, "predicted"
        self.shut = word(spec.get("kink", "error"), "error zero") == "zero"
        wanted = [spec["network_output"]] if "network_output" in spec else list(net.outputs)
        need(len(wanted) == 1, f"network_output: one of {len(wanted)} outputs is to be named")
        need(wanted[0] in net.outputs, f"network_output: no output {wanted[0]!r:.40} of floats")
        self.logits = net.outputs[wanted[0]].solid().items
        with at("input"):
            self.point(table(spec.get("input", {}), "point data row header target drop scale "
                                                    "minmax_of round names"))
        with at("region"):
            self.region(table(spec.get("region", {}), "linf l1 l2 box clip freeze only integer "
                                                      "one_hot linear"))
        if "explain" in spec:
            with at("explain"):
                self.explain(table(spec["explain"], "attribution output reduce features options"))
        with at("require"):
            require = every(self.properties(full(spec["require"]), True, "fails"))
        with at("assume"):
            assume = every(self.properties(spec.get("assume", []), True, "holds"))
        self.broken: Formula = [2, [assume, negate(require)]]

    def adopt(self, net: Network) -> None:
        self.graph, self.inputs = net.graph, net.inputs
        self.shapes = {k: net.values[k].shape for k in net.inputs}
        self.flat = [v for n in net.inputs.values() for v in net.graph.refs(n)]
        self.cuts, self.files = list[Form](), dict[str, str]()  # of data: their SHA-256 by name
        self.balls, self.integers, self.size = list[Any](), set[int](), len(self.flat)
        self.groups = list[list[int]]()  # one-hot: the flat inputs of each


    def spread(self, value: Any) -> dict[int, Fraction]:
        """Numbers by feature. A name beats a pattern."""
        if not isinstance(value, dict):
            several = isinstance(value, list)
            return dict(enumerate(numbers(value, self.size) if several else
                                  [exact(value)] * self.size))
        picks = sorted(("*" not in k and "?" not in k, i, k)
                       for k in value for i in self.features.find(k))
        need(len({pick[:2] for pick in picks}) == len(picks), "two keys pick one feature")
        return {i: exact(value[k]) for _, i, k in picks}

    def file(self, name: Any) -> bytes:
        """A data file, which the certificate has to name too; zipped if its name says so."""
        need(type(name) is str, f"{name!r:.40} is no file")
        data, digest = read(os.path.join(self.folder, name))
        need(self.files.setdefault(name, digest) == digest, f"{name!r:.40} has changed")
        zipped = hashlib.sha256(data).hexdigest() != digest
        need(zipped == name.endswith(".gz"), f"{name!r:.40}: zipped and not named .gz, or named so")
        return data

    def rows(self, file: str, t: dict[str, Any]) -> tuple[list[str], Iterator[list[str]]]:
        """The names, if there are any, and the rows of the feature columns of a CSV file."""
        body = records(self.file(file).decode("utf-8-sig"))
        first = next(body)
        found, said = sum(map(numeric, first)), t.get("header")
        need(said is None or type(said) is bool, "header: neither true nor false")
        need(said is not None or found in (0, len(first)), "header: a first row of numbers and "
                                                           "others may be one or not")
        titled = not found if said is None else said
        header = [k.strip(" \t") for k in first] if titled else []
        need(any(header) or not titled, "a header without names")
        out = {pick(range(len(first)), k, "column") if type(k) is int else self.column(header, k)
               for k in listed(t.get("drop", [])) + ([t["target"]] if "target" in t else [])}
        kept = [k for k in range(len(first)) if k not in out]
        body = body if titled else chain([first], body)
        return [header[k] for k in kept if titled], ([row[k] for k in kept] for row in body)

    def column(self, header: list[str], name: Any) -> int:
        need(type(name) is str and header.count(name) == 1, f"not one column is {name!r:.40}")
        return header.index(name)

    def ends(self, t: dict[str, Any], names: list[str]) -> list[tuple[Fraction, Fraction]]:
        """The least and greatest value of every feature, in the order of the data's columns."""
        if "scale" in t:
            scale = table(t["scale"], "min max")
            ends = [numbers(scale[k], self.size) for k in ("min", "max")]
            return list(zip(*ends, strict=True))
        titles, body = self.rows(t["minmax_of"], t)
        need(sorted(titles) == sorted(names) and len(set(titles)) == len(titles),
             "other columns than the data has")
        order = [titles.index(k) for k in names] or range(self.size)
        columns = list(zip(*([decimal(cell) for cell in row] for row in body), strict=True))
        need(len(columns) == self.size, "no rows, or another number of columns")
        return [(Fraction(min(columns[k])), Fraction(max(columns[k]))) for k in order]

    def point(self, t: dict[str, Any]) -> None:
        for two in (("point", "data"), ("scale", "minmax_of")):
            need(not t.keys() >= set(two), f"both {' and '.join(two)}")
        for key in ("row", "header", "target", "drop", "minmax_of"):
            need("data" in t or not (key in t and t[key] != []), f"{key} without data")
        given, titles = t.get("names", []), list[str]()
        need(isinstance(given, list) and all(type(k) is str for k in given), "names: not all text")
        need(type(t.get("target", "")) is str, "target: no text")
        row, x0 = (whole(t["row"]) if "row" in t else None), list[Fraction]()
        if "data" in t:
            with at(f"data {t['data']!r:.40}"):
                if t["data"].endswith(".npy"):
                    more = {"header", "target", "drop", "minmax_of"} & {k for k in t if t[k] != []}
                    need(not more, f"{', '.join(sorted(more))} of a .npy file")
                    x0 = array(self.file(t["data"]), row, "fiu")
                else:
                    need(row is not None, "row: missing")
                    titles, body = self.rows(t["data"], t)
                    x0 = list(map(exact, next(islice(body, row, None))))
        elif "point" in t:
            with at("point"):
                x0 = self.written(t["point"])
        with at("names"):
            self.features = self.parts = ElementNames(list(self.shapes.items()), given or titles)
        need(len(x0) == self.size or not t.keys() & {"data", "point"},
             f"{len(x0)} numbers, not {self.size}")
        if x0 and ("scale" in t or "minmax_of" in t):
            with at("scale" if "scale" in t else f"minmax_of {t['minmax_of']!r:.40}"):
                ends = self.ends(t, titles)
                need(all(a <= b for a, b in ends), "min above max")
                x0 = [Fraction(v - a, (b - a) or 1) for v, (a, b) in zip(x0, ends, strict=True)]
        word(t.get("round", "float32"), "float32")
        self.x0 = [nearest(v, 24, -149) for v in x0] if "round" in t else x0

    def written(self, point: Any) -> list[Fraction]:
        """The numbers of a point, flat or in the shape of the input; sides of 1 do not matter."""
        if isinstance(point, dict):
            need(point.keys() == self.shapes.keys(), "not the names of the inputs")
            parts = [(point[k], list(shape)) for k, shape in self.shapes.items()]
        else:
            alone = len(self.shapes) == 1
            parts = [(point, list(*self.shapes.values()) if alone else [self.size])]
        found = list[Fraction]()
        for value, wanted in parts:
            found += numbers(value, math.prod(wanted))
            shape, sides = ([d for d in s if d != 1] for s in (shaped(value)[0], wanted))
            need(len(shaped(value)[0]) == 1 or shape == sides, "another shape than the input's")
        return found

    def region(self, t: dict[str, Any]) -> None:
        places, lows, highs = range(self.size), list[Any](), list[Any]()  # bounds by feature
        for key in ("box", "clip"):
            box = t.get(key, {})
            with at(key):
                ends = box if isinstance(box, list) else [
                    table(box, "lo hi").get(k, {}) for k in ("lo", "hi")]
                for side, value in zip((lows, highs), ends, strict=True):
                    side.append(self.spread(value))
        select = self.features.select
        moving = set(select(t["only"])) if "only" in t else set(places)
        moving -= set(select(t.get("freeze", [])))
        self.balls = [(k, moving, exact(t[f"l{k}"])) for k in (1, 2) if f"l{k}" in t]
        reach = [dict.fromkeys(moving, radius) for _, _, radius in self.balls]
        reach.append(dict.fromkeys(set(places) - moving, ZERO))
        if "linf" in t:
            with at("linf"):
                reach.append({**dict.fromkeys(places, ZERO), **self.spread(t["linf"])})
        for r in reach:
            need(all(v >= 0 and self.x0 for v in r.values()), "a negative radius, or no reference")
            lows.append({i: self.x0[i] - v for i, v in r.items()})
            highs.append({i: self.x0[i] + v for i, v in r.items()})
        need(isinstance(t.get("one_hot", []), list), "one_hot: no list of groups")
        groups = [select(g) for g in t.get("one_hot", [])]
        self.groups, members = groups, set(chain(*groups))
        need(all(len(g) > 1 for g in groups) and len(members) == sum(map(len, groups)),
             "one_hot: a group of less than two features, or two groups with one")
        lows.append(dict.fromkeys(members, ZERO))
        highs.append(dict.fromkeys(members, ONE))
        self.integers = members | set(select(t.get("integer", [])))
        need(set().union(*lows) & set().union(*highs) == set(places), "a feature is unbounded")
        self.lo = [max(d[i] for d in lows if i in d) for i in places]
        self.hi = [min(d[i] for d in highs if i in d) for i in places]
        for i in self.integers:
            self.lo[i] = Fraction(math.ceil(self.lo[i]))
            self.hi[i] = Fraction(math.floor(self.hi[i]))
        need(all(a <= b for a, b in zip(self.lo, self.hi, strict=True)), "the region is empty")
        for group in groups:
            need(sum(self.lo[i] == 1 for i in group) <= 1 <= sum(self.hi[i] == 1 for i in group),
                 "one_hot: the region is empty")
        for power, free, radius in self.balls:
            far = [max(self.lo[i] - self.x0[i], self.x0[i] - self.hi[i], ZERO) for i in free]
            need(sum(v**power for v in far) <= radius**power, f"l{power}: the region is empty")
        where = {ref: i for i, form in enumerate(self.flat) for ref in form[0]}
        self.cuts = list[Form]()
        for k, source in enumerate(listed(t.get("linear", []))):
            with at(f"linear[{k}]"):
                self.cuts += self.linear(source)
        for refs, const in self.cuts:
            least = sum(c * (self.lo if c > 0 else self.hi)[where[r]] for r, c in refs.items())
            need(least + const <= 0, "linear: the region is empty")
        sums = [total((self.flat[i], 1) for i in group) for group in groups]
        self.cuts += [total([(form, s)], -s) for form in sums for s in (1, -1)]

    def linear(self, source: Any) -> Iterator[Form]:
        """Forms that a constraint such as `0 <= age - 2*x[3] <= 0.3` keeps at most 0.

        Terms with a sign, joined by signs and comparisons; names are taken as they are written.
        """
        need(type(source) is str and len(source) <= 20_000, "no text, or a constraint too long")
        sides: list[list[tuple[Form, Any]]] = [[]]
        signs, place, sign, mark = list[str](), 0, 1, "+"
        while mark:
            term = TERM.match(source, place)
            link = LINK.match(source, term.end()) if term else None
            if not term or not link:
                place = term.end() if term else place
                raise Bad(f"character {place + 1}: {source[place : place + 20]!r} is no "
                          f"{'comparison or sum' if term else 'term'}")
            sides[-1].append(self.term_of(term, sign))
            mark, place = link[0], link.end()
            sign = -1 if mark == "-" else 1
            if len(mark) > 1:
                signs.append(mark)
                sides.append([])
        need(signs, "a constraint compares nothing")
        for mark, (a, b) in zip(signs, pairwise(map(total, sides)), strict=True):
            need(gap(a, b)[0], "a constraint about no feature")
            yield from ([gap(a, b)] if mark != ">=" else [])
            yield from ([gap(b, a)] if mark != "<=" else [])

    def term_of(self, term: Any, sign: int) -> tuple[Form, Any]:
        """The form of a matched term, and the number before it."""
        sign = -sign if term[1] == "-" else sign
        name, number = term["name"] or term["alone"], exact(term["a"] or term["b"] or 1)
        if not name:
            return ({}, ONE), sign * number
        quoted = name[:2] == "x[" and name[2:].strip(" \t")[:1] in ('"', "'")
        (i,) = self.features.find(name[2:-1].strip(" \t")[1:-1] if quoted else name)
        need(number or term["by"] != "/", "division by zero")
        return self.flat[i], sign * (Fraction(1, number) if term["by"] == "/" else number)

    # outputs and explanations

    def value(self, items: list[Form]) -> list[Fraction]:
        """Exact values at the reference."""
        need(self.x0, "a reference point is needed")
        return exactly(self.graph, self.graph.rows(items), self.x0, self.shut)

    def ranked(self, items: list[Form], k: int, tie: Any = None) -> list[int]:
        """Positions by falling value at the reference; Bad for a tie at the edge of the first k."""
        values = self.value(items)
        order = sorted(range(len(values)), key=lambda i: (-values[i], i))
        need(tie == "index" or k >= len(order) or values[order[k - 1]] != values[order[k]],
             "a tie at the reference")
        return order

    def functional(self, value: Any) -> Form:
        """The weighted sum of outputs that `predicted`, `logit:c`, `margin:c,j`, ... mean."""
        if isinstance(value, dict):
            weights = numbers(table(value, "weights")["weights"], len(self.logits))
            return total(zip(self.logits, weights, strict=True))
        need(type(value) is str, f"{value!r:.40} is no functional")
        if value == "sum":
            return total((v, 1) for v in self.logits)
        head, _, tail = ("logit:predicted" if value == "predicted" else value).partition(":")
        picks, named = [p.strip(" ") for p in tail.split(",")], ("predicted", "runner_up")
        need(all(p in named or re.fullmatch("[0-9]{1,9}", p) for p in picks), f"no functional "
             f"{value!r:.40}")
        ranks, last = [0], max((k + 1 for k, name in enumerate(named) if name in picks), default=0)
        for k in range(1, last + 1 if len(self.logits) > 1 else 0):
            ranks = self.ranked(self.logits, k)
        found = [ranks[named.index(p)] if p in named else int(p) for p in picks]
        count = {"logit": 1, "margin": 2}.get(head)
        need(len(set(found)) == len(picks) == count, f"no functional {value!r:.40}")
        return total((pick(self.logits, c, "output"), s) for c, s in zip(found, (1, -1)))

    def slopes(self, output: Any) -> list[int]:
        inputs = list(self.inputs.values())
        return self.graph.gradient(self.graph.rows([self.functional(output)]), inputs)

    def explain(self, t: dict[str, Any]) -> None:
        self.output, g = t.get("output", "predicted"), self.graph
        how = word(t.get("reduce", "signed"), "signed abs channel_sum abs_channel_sum "
                                              "channel_abs_sum")
        kind, maps = t.get("attribution", "gradient"), self.slopes(self.output)
        if kind in ("input_x_gradient", "input*gradient", "gradient*input"):
            pairs = zip(self.inputs.values(), maps, strict=True)
            kind, maps = "gradient", [g.op("M", *pair) for pair in pairs]
        need(kind == "gradient", f"unsupported attribution {kind!r:.40}")
        table(t.get("options", {}), "")
        images = [SymbolicTensor(g, shape, g.refs(m))
                  for shape, m in zip(self.shapes.values(), maps, strict=True)]
        if "channel" in how:
            need(all(len(m.shape) in (3, 4) for m in images), "no channels")
            images = [m.absolute() if how == "channel_abs_sum" else m for m in images]
            images = [channels(m, len(m.shape) - 3) for m in images]
            blocks = list(zip(self.shapes, [m.shape for m in images]))
            self.parts = ElementNames(blocks, [])
        self.items = [v for m in images for v in m.items]
        self.nonnegative = how in ("abs", "abs_channel_sum", "channel_abs_sum")
        if how in ("abs", "abs_channel_sum"):
            self.items = SymbolicTensor(g, [self.parts.size], self.items).absolute().solid().items
        size = range(self.parts.size)
        self.chosen = self.parts.select(t["features"]) if "features" in t else list(size)
        need(self.chosen, "features: none is named")
        self.components = [self.items[i] for i in self.chosen]

    # properties

    def properties(self, entries: Any, keep: bool, undefined: str) -> list[Formula]:
        """The formulas of a list of properties."""
        need(isinstance(entries, list), "no list of tables")
        found = list[Formula]()
        for k, p in enumerate(entries):
            with at(f"[{k}]"):
                found.append(self.formula(p, keep, undefined))
        return found

    def formula(self, p: Any, keep: bool, undefined: str) -> Formula:
        """A property, or its negation if not `keep`; `undefined`: what division by 0 counts as.

        The keyword of its table is the one key that no other explains.
        """
        need(isinstance(p, dict), f"{p!r:.40} is no table")
        keywords = [k for k in (*JOINED, *PROPERTIES) if k in p]
        need(keywords, f"no such property: {list(p)!r:.40}")
        fits = [k for k in keywords
                if {k, *PROPERTIES.get(k, ("",))[0].split()} >= set(keywords)]
        need(len(fits) == 1, f"{' and '.join(keywords)} in one table")
        key = fits[0]
        with at(key):
            if key == "not":
                return self.formula(table(p, key)[key], not keep, undefined)
            if key in JOINED:
                parts = self.properties(full(table(p, key)[key]), keep, undefined)
                return every(parts) if keep == (key == "all") else [1, parts]
            keys, build = PROPERTIES[key]
            found = build(self, table(p, f"{key} {keys}"))
            found = found if keep else negate(found)
            return self.defined(p, found, keep, undefined) if "undefined" in keys else found

    def magnitudes(self) -> list[Form]:
        """The absolute values of the chosen components."""
        if self.nonnegative:
            return self.components
        return SymbolicTensor(self.graph, [len(self.components)], self.components).absolute().items

    def defined(self, p: dict[str, Any], f: Formula, keep: bool, undefined: str) -> Formula:
        """A formula f of a property that divides by the attribution, or of its negation: where the
        attribution is zero, it counts as the key `undefined` says."""
        wanted = word(p.get("undefined", undefined), "fails holds")
        zero = exact(p["at_least"]) <= 0 if "similarity" in p else not p.keys() & {"above", "below"}
        # Sound: where the attribution is zero so are all forms of the property: what is written
        # without a division is true there if none of its atoms has to be above 0, and its negation
        # is the contrary. Nothing has to be said where that is what it counts as.
        if (zero == keep) == (wanted == "holds"):
            return f
        some = total((v, 1) for v in self.magnitudes()), True
        return [2, [some, f]] if wanted == "fails" else [1, [negate(some), f]]

    def within(self, forms: Iterable[Form], t: dict[str, Any], unit: Form = ({}, ONE)) -> Formula:
        """Every form against every bound of the table, in these units."""
        found = [(total([(form, s), (unit, -s * exact(t[k]))]), strict)
                 for form in forms for k, (s, strict) in LIMITS.items() if k in t]
        need(found, "no bound is given")
        return every(found)

    def class_(self, t: dict[str, Any]) -> Formula:
        c, tie = t["class"], word(t.get("tie", "error"), "error index")
        need(len(self.logits) > 1, "the network has one output")
        c = self.ranked(self.logits, 1, tie)[0] if c == "unchanged" else whole(c)
        winner = pick(self.logits, c, "class")
        return every((gap(winner, v), True) for j, v in enumerate(self.logits) if j != c)

    def sign(self, t: dict[str, Any]) -> Formula:
        least, parts = exact(t.get("threshold", 0)), list[Formula]()
        zero = word(t.get("zero", "error"), "error ignore keep")
        word(t["sign"], "unchanged")
        need(least >= 0, "threshold: below 0")
        values = dict(zip(self.chosen, self.value(self.components), strict=True))
        for i in self.parts.select(t.get("which", self.chosen)):
            form, value = total([(self.items[i], 1 if values[i] > 0 else -1)]), values[i]
            if value and abs(value) >= least:
                parts.append((form, True))
            elif least <= 0 == value:
                need(zero != "error", f"component {i} is 0 at the reference")
                parts += [[2, [(self.items[i], False), (form, False)]]] * (zero == "keep")
        count = whole(t.get("at_least", len(parts)))
        need(0 < len(parts) >= count, f"at_least: {count} of {len(parts)} components")
        return [count, parts]

    def distance(self, t: dict[str, Any]) -> Formula:
        kind, base, g = t["distance"], self.value(self.components), self.graph
        relative = t.get("relative", False)
        need(type(relative) is bool, "relative: neither true nor false")
        need(any(base) or not relative, "relative to a reference that is zero")
        word(kind, "l1 l2 linf")
        change = [total([(v, 1)], -a) for v, a in zip(self.components, base, strict=True)]
        size = {"l1": sum(map(abs, base)), "l2": sum(v * v for v in base),
                "linf": max(map(abs, base))}[kind] if relative else 1
        limits = {k: exact(t[k]) ** (1 + (kind == "l2")) * size for k in LIMITS if k in t}
        need(limits and all(exact(t[k]) >= 0 for k in limits), "no bound, or a negative one")
        if kind == "linf":
            sides = [total([(v, s)]) for s in (1, -1) for v in change]
            count = {"at_most": len(sides), "below": len(sides)}
            return every([count.get(k, 1), [self.within([v], {k: bound}) for v in sides]]
                         for k, bound in limits.items())
        n = g.rows(change)
        items = g.refs(g.op("M", n, n)) if kind == "l2" else (
            SymbolicTensor(g, [len(base)], g.refs(n)).absolute().items)
        return self.within([total((v, 1) for v in items)], limits)

    def cosine(self, t: dict[str, Any]) -> Formula:
        c, base, g = exact(t["at_least"]), self.value(self.components), self.graph
        length, dot = sum(v * v for v in base), total(zip(self.components, base, strict=True))
        need(t["similarity"] == "cosine" and abs(c) <= 1 and length, "a wrong similarity")
        if c == 0:
            return dot, False
        n, d = g.rows(self.components), g.rows([dot])
        squares, square = g.refs(g.op("M", n, n)), g.refs(g.op("M", d, d))[0]
        room = total([*((v, -c * c * length) for v in squares), (square, 1)])
        if c > 0:
            return [2, [(dot, True), (room, False)]]
        return [1, [(dot, False), negate((room, True))]]

    def top_k(self, t: dict[str, Any]) -> Formula:
        k, n, item = whole(t["top_k"]), len(self.chosen), self.components
        m, tie = whole(t.get("overlap_at_least", k)), word(t.get("tie", "error"), "error index")
        need(1 <= m <= k <= n, f"an overlap of {m}, {k} of {n} components")
        order, inner = self.ranked(item, k, tie), (n - k) - (k - m)
        rows = [[inner, [(gap(item[w], item[x]), True) for x in sorted(order[k:])]]
                for w in sorted(order[:k])]
        return [m, rows] if inner > 0 else [0, []]

    def order(self, t: dict[str, Any]) -> Formula:
        if t["order"] == "unchanged":
            values = self.value(self.components)
            need(len(set(values)) == len(values), "a tie at the reference")
            items = [self.components[i] for i in self.ranked(self.components, 1)]
        else:
            places = [i for (i,) in map(self.parts.find, full(t["order"]))]
            need(len(set(places)) == len(places), "a component twice")
            items = [self.items[i] for i in places]
        need(len(items) > 1, "an order of less than two")
        return every((gap(a, b), True) for a, b in pairwise(items))

    def mass(self, t: dict[str, Any]) -> Formula:
        mask = t["mass"]
        if isinstance(mask, dict):
            values = array(self.file(table(mask, "file")["file"]), None, "fiub")
            need(len(values) == self.parts.size, "a mask of another size")
            mask = [i for i, v in enumerate(values) if v]
        inside, parts = set(self.parts.select(mask)), self.magnitudes()
        need(all(0 <= exact(t[k]) <= 1 for k in LIMITS if k in t), "a share is from 0 to 1")
        need(inside and inside <= set(self.chosen), "a wrong mask")
        mass = total((v, 1) for i, v in zip(self.chosen, parts, strict=True) if i in inside)
        return self.within([mass], t, total((v, 1) for v in parts))

    def monotone(self, t: dict[str, Any]) -> Formula:
        bound = {{"increasing": "at_least", "decreasing": "at_most"}[t["monotone"]]: 0}
        items = [v for n in self.slopes(t.get("output", self.output)) for v in self.graph.refs(n)]
        return self.within([items[i] for i in self.features.select(t["feature"])], bound)


BOUNDS = " ".join(LIMITS)
JOINED = ("not", "all", "any")
PROPERTIES: dict[str, tuple[str, Callable[[Claim, Any], Formula]]] = {
    "monotone": ("feature output", Claim.monotone), "class": ("tie", Claim.class_),
    "output": (BOUNDS, lambda c, t: c.within([c.functional(t["output"])], t)),
    "component": (BOUNDS, lambda c, t: c.within([c.items[i] for i in c.parts.select(
        t["component"])], t)),
    "sign": ("which threshold zero at_least", Claim.sign), "order": ("", Claim.order),
    "distance": ("relative " + BOUNDS, Claim.distance),
    "similarity": ("at_least undefined", Claim.cosine),
    "mass": ("undefined " + BOUNDS, Claim.mass), "top_k": ("overlap_at_least tie", Claim.top_k),
    "expression": (BOUNDS, lambda c, t: c.within([expression_form(c, t["expression"])], t)),
}
