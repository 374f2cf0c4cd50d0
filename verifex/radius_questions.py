"""The Python face of radii: `radius(model, spec)`, and one for each of some features.

    found = verifex.radius("net.onnx", "spec.toml", tolerance="1e-3")
    print(found.proved, found.refuted, found.witness)
    for each in verifex.radius_of_each("net.onnx", "spec.toml", ["age", "income"]):
        print(each.features, each.proved)

Models and specs are those of `verifex.verify`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Unpack

from verifex import api
from verifex.errors import UsageError
from verifex.reading import ModelLike, SpecLike, read_radius
from verifex.settings import ClaimChanges, Settings

if TYPE_CHECKING:
    from verifex.engine.radius.radius_verdict import RadiusVerdict
    from verifex.engine.solve.pool import SolverPool
    from verifex.engine.watch import StopRequest
    from verifex.problem.document.variants.radius import RadiusQuestion

Number: TypeAlias = Fraction | int | float | str


@dataclass(frozen=True)
class RadiusOptions:
    """What a radius is found to, beside the settings.

    The gap that is left is at most `tolerance` of the refuted radius; `most` ends a search where
    nothing is refuted and the domain has no end. The witness's certificate is kept beside the file
    `save_witness`, which the caller writes.
    """

    tolerance: Number = "1e-3"
    most: Number | None = None
    save_witness: Path | None = None


def radius(
    model: ModelLike, spec: SpecLike, settings: Settings | None = None, *,
    key: str | None = None, feature: str | None = None, tolerance: Number = "1e-3",
    most: Number | None = None, progress: api.Progress | None = None, log: api.Log | None = None,
    pool: SolverPool | None = None, **changes: Unpack[ClaimChanges],
) -> RadiusVerdict:
    """The largest radius around x0 for which a claim is proved, and the least that is refuted.

    `key` is the key of [region] that says the radius ("linf", "l1", "l2"); without it the one that
    the spec has. With `feature` (a name, a place or a pattern) all other features are frozen. See
    `RadiusOptions` for `tolerance` and `most`. Settings and errors as for `verify`; the certificate
    is that of the proved end, beside the spec that it proves.
    """
    features = [] if feature is None else [feature]
    asked = read_radius(model, spec, key, features)
    if len(asked) > 1:
        raise UsageError("feature = 'all' has many answers: expected radius_of_each")
    chosen = api.changed_settings(settings, changes, ClaimChanges)
    options = RadiusOptions(tolerance, most)
    return find_radii(asked, chosen, options, progress=progress, log=log, pool=pool)[0]


def radius_of_each(
    model: ModelLike, spec: SpecLike, features: Sequence[str] = ("all",),
    settings: Settings | None = None, *, tolerance: Number = "1e-3", most: Number | None = None,
    progress: api.Progress | None = None, log: api.Log | None = None,
    pool: SolverPool | None = None, **changes: Unpack[ClaimChanges],
) -> list[RadiusVerdict]:
    """`radius` for each of some features alone, with all others frozen; "all" stands for each
    feature that moves, and for one-hot groups as a whole. `seconds` are for all of them together;
    certificates get numbers."""
    asked = read_radius(model, spec, None, features)
    chosen = api.changed_settings(settings, changes, ClaimChanges)
    options = RadiusOptions(tolerance, most)
    return find_radii(asked, chosen, options, progress=progress, log=log, pool=pool)


def find_radii(
    asked: Sequence[RadiusQuestion], settings: Settings, options: RadiusOptions, *,
    progress: api.Progress | None = None, log: api.Log | None = None,
    pool: SolverPool | None = None, stop: StopRequest | None = None,
) -> list[RadiusVerdict]:
    """The radii of questions that are built already. After Ctrl-C, or soon after `stop` is set, the
    answers so far are given; the last of them says that it was interrupted."""
    from verifex.certificate.radius_ends.find import find_radius

    settings, log = api.fitting(settings), api.clocked(log)
    found: list[RadiusVerdict] = []
    tolerance = exact(options.tolerance)
    most = None if options.most is None else exact(options.most)
    until = time.monotonic() + settings.seconds
    for k, one in enumerate(asked):
        left = max(0.01, until - time.monotonic()) / (len(asked) - k)
        mine, save = replace(settings, seconds=left), options.save_witness
        if len(asked) > 1:
            mine = replace(mine, certificate=numbered(settings.certificate, k))
            save = numbered(save, k)
        verdict = find_radius(one, mine, tolerance=tolerance, most=most, pool=pool,
                              watch=api.watching(log, progress, stop), save=save,
                              earlier=tuple(found))
        if log is not None:
            log({"event": "radius", **verdict.to_json()})
        found.append(verdict)
        if verdict.interrupted:
            break
    return found


def numbered(path: Path | None, number: int) -> Path | None:
    """The path of one of several answers: `name-1.vxc`, `name-2.vxc`, ..."""
    if path is None:
        return None
    stem, dot, ends = path.name.partition(".")
    return path.with_name(f"{stem}-{number + 1}{dot}{ends}")


def exact(value: Number) -> Fraction:
    """An exact number of a call: a float means its shortest decimal."""
    from verifex.ir.decimals import parse_exact

    try:
        return value if isinstance(value, Fraction) else parse_exact(str(value))
    except ValueError as error:
        raise UsageError(f"{str(value)[:40]}: {error}, expected a number such as 0.1") from None

