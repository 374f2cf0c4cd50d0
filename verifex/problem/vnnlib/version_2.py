"""VNN-LIB 2.0 queries as one `Problem`: the networks grafted into one graph over shared inputs.

Inputs that the query equates (`(== X[0] Z[0])`, or `<=` and `>=`, demanded and not inside an `or`)
become one, so a query about two networks on the same input has that input once. Polynomials become
`Mul` nodes; `or` stays `or`, nothing is expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from verifex.errors import InputError, UnsupportedError, UsageError
from verifex.ir.formula import And, Cell, Formula, Or
from verifex.ir.graft import graft
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import gather, reshape
from verifex.ir.ops import Concat
from verifex.ir.problem import Problem
from verifex.problem.vnnlib.polynomial import Forms, Poly, constant, total, variable
from verifex.problem.vnnlib.query import build, is_bounded, miscounted, trace, with_implied
from verifex.problem.vnnlib.stated import AnyNetwork, Stated, StatedNetwork, StatedVariable
from verifex.problem.vnnlib.version_2_text import (
    DeclaredNetwork,
    DeclaredTensor,
    Parsed,
    conjuncts,
    parse,
)
from verifex.source import Source

Files: TypeAlias = Mapping[str, AnyNetwork]
"""Network name -> its ONNX file, or a graph."""

_Element: TypeAlias = tuple[str, int]
"""A tensor's name and a flat position."""


REACH = Fraction(1024)
"""Where inputs without a bound are cut off, if they may be."""


def state(text: str, file: str, files: Files | AnyNetwork, title: str,
          as_real: bool = False, cut: bool = False) -> Stated:
    """The problem that a query states about networks, and where its variables are.

    `as_real` and `cut` as for `load_stated`. `files` is one network where the query declares one,
    or a network for every declaration that is not `equal-to` another. Raises InputError,
    UnsupportedError, UsageError.
    """
    parsed = parse(text, file, as_real)
    merged = _Merged(parsed, _sources(parsed, files), cut)
    try:
        return merged.stated(title)
    except InputError as error:
        raise error.at(file=file) from None


# --- which network is which --------------------------------------------------------------------


def _origin(parsed: Parsed, name: str) -> str:
    """The network whose file a declaration uses: itself, or what it is equal to."""
    by_name = {n.name: n for n in parsed.networks}
    while by_name[name].equal_to:
        name = by_name[name].equal_to
    return name


def _sources(
    parsed: Parsed, files: Files | AnyNetwork
) -> dict[str, AnyNetwork]:
    """Network name -> file, for every network that has its own; UsageError unless just those."""
    wanted = [n.name for n in parsed.networks if not n.equal_to]
    if isinstance(files, str | Path | Graph | Source):
        if len(wanted) > 1:
            raise UsageError(f"{parsed.file} declares the networks {', '.join(wanted)}, expected "
                             "a file for each: verifex-vnnlib verify QUERY --network NAME=FILE ...")
        return {wanted[0]: files}
    for name in files:
        if name not in wanted:
            equal = any(n.name == name for n in parsed.networks)
            why = "is equal to another and takes no file" if equal else "is not declared"
            raise UsageError(f"network '{name}' {why}, expected a file for {', '.join(wanted)}")
    missing = [name for name in wanted if name not in files]
    if missing:
        raise UsageError(f"no file for network {', '.join(missing)}, expected one --network "
                         "NAME=FILE for each")
    return dict(files)


@dataclass(frozen=True)
class _Network:
    """A network of a file: its graph, and the names of the file's outputs.

    The outputs of the graph are those of the file that assertions can read, and hidden ones.
    """

    graph: Graph
    outputs: tuple[str, ...]


def _load(
    source: AnyNetwork, hidden: Sequence[str], read: Collection[int], key: str
) -> _Network:
    """A network with its outputs, as far as assertions read them (`read`: which) or they are
    floats, and the hidden tensors asked for."""
    if isinstance(source, Graph):
        if any(h not in source.outputs for h in hidden):
            raise UnsupportedError("hidden nodes of a network in memory", expected="a file",
                                   key=key)
        return _Network(source, tuple(source.outputs))
    from verifex import frontend
    from verifex.frontend.onnx.read import network_source, output_names

    file = source if isinstance(source, Source) else network_source(source)
    own = tuple(output_names(file))
    wanted = [name for k, name in enumerate(own) if k in read]
    try:
        graph = frontend.load(file)
    except UnsupportedError:
        if not wanted:
            raise
        graph = frontend.load(file, outputs=wanted)
    more = [h for h in dict.fromkeys(hidden) if h not in graph.outputs]
    if not more:
        return _Network(graph, own)
    try:
        return _Network(frontend.load(file, outputs=[*graph.outputs, *more]), own)
    except InputError as error:
        raise InputError(f"hidden node: {error}", key=key) from None


def _skeleton(graph: Graph) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(type(n.op).__name__, n.args, n.shape) for n in graph.nodes]


# --- one graph ---------------------------------------------------------------------------------


@dataclass
class _Merged:
    """All networks of a query in one graph under construction.

    `cells` and `nodes` say where the elements of each declared tensor are, `names` what the flat
    inputs are called.
    """

    parsed: Parsed
    sources: Mapping[str, AnyNetwork]
    may_cut: bool = False
    builder: Builder = field(default_factory=Builder)
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shapes = {t.name: t.shape for n in self.parsed.networks for t in n.tensors}

    def stated(self, title: str) -> Stated:
        found = self._networks()
        roots = _Roots(self.parsed)
        for net in self.parsed.networks:
            source = found[_origin(self.parsed, net.name)]
            graph, outputs = source.graph, [source.graph.outputs.get(k) for k in source.outputs]
            self._fit(net, net.of("input"), [graph.nodes[i].size for i in graph.inputs], "inputs")
            self._fit(net, net.of("output"), [None if i is None else graph.nodes[i].size
                                              for i in outputs], "outputs")
            inputs = [
                self._input(t, graph.nodes[i].shape, roots)
                for t, i in zip(net.of("input"), graph.inputs, strict=True)
            ]
            place = graft(self.builder, graph, inputs, f"{net.name}." if len(found) > 1 else "")
            for t, i in zip(net.of("output"), outputs, strict=True):
                # What is left out (see `_load`) has no element that an assertion could mean.
                if i is not None:
                    self._define(t, place[i])
            for t in net.of("hidden"):
                i = graph.outputs[t.onnx]
                self._fit(net, [t], [graph.nodes[i].size], "hidden nodes")
                self._define(t, place[i])
        return self._problem(title)

    def _problem(self, title: str) -> Stated:
        shown = {t.name: self.nodes[t.name] for n in self.parsed.networks for t in n.of("output")
                 if t.name in self.nodes}
        graph = self.builder.build(shown)
        # An output that is a copy of an input is that input: what is said of it bounds the region.
        self.cells = {k: [trace(graph, c) for c in v] for k, v in self.cells.items()}
        forms = Forms(self.builder)
        reader = _TreeReader(forms, self._cell)
        violated = with_implied(
            And(tuple(reader.formula(e) for e in conjuncts(self.parsed.assertions))), graph)
        cut = self.may_cut and not is_bounded(violated, graph)
        problem: Problem = build(
            self.builder.build(shown), violated, self.names, title, tuple(self.notes),
            REACH if cut else None,
        )
        declared = [
            StatedVariable(t.name, t.element, t.kind, t.shape, self.nodes[t.name])
            for n in self.parsed.networks for t in n.tensors if t.name in self.nodes
        ]
        networks = tuple(
            StatedNetwork(n.name, source, tuple(t.name for t in n.of("input")),
                    tuple(t.name for t in n.of("output")),
                    tuple((t.name, t.onnx) for t in n.of("hidden")))
            for n in self.parsed.networks
            if not isinstance(source := self.sources[_origin(self.parsed, n.name)], Graph)
        )
        return Stated(problem, tuple(declared), networks, 2, cut)

    def _cell(self, expression: Any) -> Cell:
        """The element of the graph that a variable of an assertion stands for."""
        if expression.name not in self.cells:
            raise UnsupportedError(f"'{expression.name}' is an output of no floats",
                                   expected="an assertion about outputs of floats",
                                   key=_line(expression))
        return self.cells[expression.name][position(expression, self.shapes[expression.name])]

    def _networks(self) -> dict[str, _Network]:
        """The networks of the files, each with the hidden tensors that any declaration names."""
        hidden: dict[str, list[str]] = {name: [] for name in self.sources}
        for n in self.parsed.networks:
            hidden[_origin(self.parsed, n.name)] += [t.onnx for t in n.of("hidden")]
        read = self._read()
        found = {k: _load(v, hidden[k], read[k], k) for k, v in self.sources.items()}
        for n in self.parsed.networks:
            if n.isomorphic_to:
                like = found[_origin(self.parsed, n.isomorphic_to)]
                # No answer depends on the declaration, so a mismatch is only noted.
                if _skeleton(found[n.name].graph) != _skeleton(like.graph):
                    self.notes.append(f"network {n.name} is declared isomorphic to "
                                      f"{n.isomorphic_to}, but its operations differ")
        return found

    def _read(self) -> dict[str, set[int]]:
        """Which outputs of each network, by position, some assertion reads."""
        stack, names = list(self.parsed.assertions), set[str]()
        while stack:
            part = stack.pop()
            if type(part).__name__ == "Var":
                names.add(part.name)
            stack += part.children()
        found: dict[str, set[int]] = {name: set() for name in self.sources}
        for n in self.parsed.networks:
            found[_origin(self.parsed, n.name)] |= {
                k for k, t in enumerate(n.of("output")) if t.name in names}
        return found

    def _fit(
        self, net: DeclaredNetwork, tensors: Sequence[DeclaredTensor],
        sizes: Sequence[int | None], what: str,
    ) -> None:
        """InputError unless as many tensors are declared as the file has, of as many elements
        (None: not known)."""
        if len(tensors) != len(sizes):
            raise InputError(f"network {net.name} has {len(sizes)} {what}, {len(tensors)} are "
                             "declared", expected="as many", key=net.name)
        for t, size in zip(tensors, sizes, strict=True):
            if size is not None and t.size != size:
                said = miscounted(size, what, t.size)
                raise InputError(f"{said.what} ('{t.name}' of shape {list(t.shape)})",
                                 expected=said.expected, key=net.name)

    def _define(self, tensor: DeclaredTensor, node: int) -> None:
        self.nodes[tensor.name] = node
        self.cells[tensor.name] = [(node, k) for k in range(tensor.size)]

    def _input(self, tensor: DeclaredTensor, shape: tuple[int, ...], roots: _Roots) -> int:
        """The node of an input tensor: an input of its own, elements of earlier ones, or both."""
        mine = [roots.of((tensor.name, k)) for k in range(tensor.size)]
        free = [k for k, root in enumerate(mine) if root == (tensor.name, k)]
        self.names += [_shown(tensor, k) for k in free]
        if len(free) == tensor.size:
            node = self.builder.input(tensor.name, shape)
            self._define(tensor, node)
            return node
        b, parts, offset, at = self.builder, list[int](), 0, dict[Cell, int]()
        if free:
            parts.append(b.input(tensor.name, (len(free),)))
            at = {(parts[0], k): k for k in range(len(free))}
            offset = len(free)
        own = dict(zip(free, at, strict=True))
        cells = [own[k] if name == tensor.name else self.cells[name][k] for name, k in mine]
        # Elements of earlier inputs, one flat stretch a node, behind those of its own.
        for source in dict.fromkeys(node for node, _ in cells if node not in parts):
            size = b.node(source).size
            at |= {(source, k): offset + k for k in range(size)}
            parts.append(b.affine(reshape(b.shape(source), (size,)), source))
            offset += size
        whole = parts[0] if len(parts) == 1 else b.add(Concat(0), *parts)
        index = np.array([at[c] for c in cells], dtype=np.int64).reshape(shape)
        node = b.affine(gather((offset,), index), whole, label=tensor.name)
        self.nodes[tensor.name], self.cells[tensor.name] = node, cells
        return node


def _shown(tensor: DeclaredTensor, index: int) -> str:
    if not tensor.shape:
        return tensor.name
    return f"{tensor.name}[{','.join(str(int(i)) for i in np.unravel_index(index, tensor.shape))}]"


class _Roots:
    """Input elements that a query equates, each standing for the first declared."""

    def __init__(self, parsed: Parsed) -> None:
        tensors = [t for n in parsed.networks for t in n.of("input")]
        self.order = {t.name: k for k, t in enumerate(tensors)}
        self.shapes = {t.name: t.shape for t in tensors}
        self.up: dict[_Element, _Element] = {}
        ordered: set[tuple[_Element, _Element]] = set()  # first <= second
        for e in conjuncts(parsed.assertions):
            # Only what is demanded outright equates inputs: a part of an `or` need not hold.
            pair = self._pair(e)
            if pair is None:
                continue
            kind = type(e).__name__
            ordered |= {pair} if kind == "LessEqual" else {pair[::-1]}
            if kind == "Equal" or {pair, pair[::-1]} <= ordered:
                self._join(*pair)

    def _pair(self, expression: Any) -> tuple[_Element, _Element] | None:
        """The two inputs that a comparison is about, `X[0]` and `Z[0]`; None for any other."""
        if type(expression).__name__ not in ("Equal", "LessEqual", "GreaterEqual"):
            return None
        a, b = self._element(expression.lhs), self._element(expression.rhs)
        return None if a is None or b is None else (a, b)

    def _element(self, expression: Any) -> _Element | None:
        if type(expression).__name__ != "Var" or expression.name not in self.order:
            return None
        return expression.name, position(expression, self.shapes[expression.name])

    def of(self, element: _Element) -> _Element:
        while element in self.up:
            element = self.up[element]
        return element

    def _join(self, left: _Element, right: _Element) -> None:
        left, right = self.of(left), self.of(right)
        # The element declared first stands for both, so that inputs keep the order of the file.
        first, second = sorted((left, right), key=lambda e: (self.order[e[0]], e[1]))
        if first != second:
            self.up[second] = first


def position(expression: Any, shape: tuple[int, ...]) -> int:
    """The flat position of a variable's indices; InputError where there is no such element."""
    place, indices = 0, tuple(expression.indices)
    if len(indices) != len(shape) or not all(0 <= i < n for i, n in zip(indices, shape,
                                                                       strict=True)):
        raise InputError(f"{expression.name}{list(indices)} is no element", key=_line(expression),
                         expected=f"indices within {list(shape)}")
    for i, n in zip(indices, shape, strict=True):
        place = place * n + int(i)
    return place


# --- formulas ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _TreeReader:
    """Formulas from the syntax trees of the package `vnnlib`."""

    forms: Forms
    cell: Callable[[Any], Cell]

    def formula(self, expression: Any) -> Formula:
        kind = type(expression).__name__
        if kind in ("And", "Or"):
            parts = tuple(self.formula(p) for p in expression.args)
            return And(parts) if kind == "And" else Or(parts)
        try:
            up = total(((self.term(expression.rhs), 1), (self.term(expression.lhs), -1)))
        except UnsupportedError as error:
            raise UnsupportedError(
                f"{error.what} in {str(expression)[:60]}",
                expected=error.expected,
                key=_line(expression),
            ) from None
        down: Poly = {m: -c for m, c in up.items()}
        match kind:
            case "LessEqual" | "LessThan":
                return self.forms.atom(up, kind == "LessThan")
            case "GreaterEqual" | "GreaterThan":
                return self.forms.atom(down, kind == "GreaterThan")
            case "Equal":
                return And((self.forms.atom(up, False), self.forms.atom(down, False)))
            case "NotEqual":
                return Or((self.forms.atom(up, True), self.forms.atom(down, True)))
        raise UnsupportedError(
            f"'{kind}'", expected="and, or or a comparison", key=_line(expression)
        )

    def term(self, expression: Any) -> Poly:
        match type(expression).__name__:
            case "Var":
                return variable(self.cell(expression))
            case "Float" | "Int" | "Literal" | "IntExpr":
                # The text of the number, not the package's float64 of it.
                return constant(Fraction(expression.lexeme))
            case "Negate":
                return total([(self.term(expression.expr), -1)])
            case "Plus":
                return total((self.term(p), 1) for p in expression.args)
            case "Minus":
                rest = ((self.term(p), -1) for p in expression.rest)
                return total([(self.term(expression.head), 1), *rest])
            case "Multiply":
                return self.forms.product(self.term(p) for p in expression.args)
            case kind:
                raise UnsupportedError(f"term '{kind}'", expected="+, - or *")


def _line(expression: Any) -> str:
    """The line of the first leaf of a tree, as far as the package tells."""
    while expression.children():
        expression = expression.children()[0]
    return str(getattr(expression, "line", ""))
