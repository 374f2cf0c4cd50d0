"""The attribution at the reference, exactly: its components by rank, and whether it is defined."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verifex.metrics.support.setting import Setting
from verifex.statement import StatedFeature


def components_at_reference(setting: Setting) -> tuple[Fraction, ...]:
    """A(x0) for the chosen components, in their order; adds no nodes.

    Raises InputError where the reference lies on a kink that it depends on, UnsupportedError where
    it has no exact value.
    """
    explained = setting.explanation()
    values = setting.reference.values(explained.attribution)
    return tuple(values[i] for i in explained.chosen)


def stated_features(setting: Setting, positions: Sequence[int]) -> tuple[StatedFeature, ...]:
    """These components (positions among the chosen ones) with their values and ranks at x0."""
    explained, values = setting.explanation(), components_at_reference(setting)
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    rank = {i: k + 1 for k, i in enumerate(order)}
    # A component that sums the channels of a pixel is no feature, and has no value of its own.
    own = explained.names is setting.features
    point = setting.reference.point
    return tuple(
        StatedFeature(
            explained.names.name(explained.chosen[i]), rank[i],
            point[explained.chosen[i]] if own else None, values[i])
        for i in positions)


def explained_text(setting: Setting, attribution: str, reduce: str) -> str:
    """What the explanation is, in words."""
    how = {"signed": "", "abs": "absolute value of the ",
           "channel_sum": "sum over the channels of the ",
           "abs_channel_sum": "absolute value of the sum over the channels of the ",
           "channel_abs_sum": "sum of absolute values over the channels of the "}[reduce]
    explained = setting.explanation()
    few = len(explained.chosen) < explained.names.size
    part = f", {len(explained.chosen)} of {explained.names.size} components" if few else ""
    name, output = attribution.replace("_", " "), setting.output_text(setting.output)
    text = f"{how}{name} of {output}{setting.explained_as()}"
    return text + part
