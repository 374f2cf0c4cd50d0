"""Every rule by which bounds are made and leaves are closed, proved once for all numbers.

`test_rules.py` states each rule as a formula over all real numbers, which z3 proves: that its
negation has no solution. A spoiling of it leaves one assumption out, turns one sign or moves one
bound inward; z3 has to find a solution of that. A formula that still holds when it is spoiled does
not say what it should, and fails. `RULES` is the table; a rule's spoilings are named where it is
stated (`Statement.given`, `sign`, `end`).

**Proved on the shipped code.** The planes of `checker/bounds/planes.py` are called with symbols:
relu (slope, chord), gates with a tie (below and above, with y = max(z, 0) and without), McCormick
mixes of gates and of products, squares (tangent, chord), multipliers of splits at 0 and at q. So is
what compares and rounds, on every path that it can take (`paths.py`): from `substitution.py` the
rounding down of coefficients, biases, relu, gate, products and squares in whole numbers, and what a
ball gains on one input; from `domain.py` the intervals of affine steps (two inputs), relus, gates
(on kinks, and on parts of a split at 0), products and squares; from `closing.py` multipliers that
are rounded, sets of atoms; from `atoms.py` when an atom or a formula is false; `hull` of
`spec/formulas.py`;
`whole_numbers.py` for a group of two; from the engine's `interval.py` relu, step and gate.

**Proved as a formula.** The sum of planes, rows and ends of a box (Farkas), which every
substitution is; the dual norms of l1 and l2 balls, on two inputs; that parts of a split cover it.

**Compared with what is proved** (`test_shipped_code.py`), in exact numbers that are drawn: the
rules of the engine's `linear.py`, which run in torch, give the coefficients of the checker's
planes; its intervals of products, which round with nextafter, hold the exact ones; products and
squares of `substitution.py` where the grid is no power of two; one-hot groups of three.

**Not proved here.** Smooth functions (claims about them get no certificate); the interval of a long
affine step in floats, which rests on a theorem about rounding (`interval.py` names it); that the
packed products of `packed_rows.py` are products, which tests compare with plain ones; that the
graph is the network's, which no formula says.
"""
