"""What rules need of numpy and of torch alike: the library that an array belongs to.

torch is imported only where an array is one of its tensors, so that whoever works with numpy alone
never loads it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A numpy array or a torch tensor; all arrays of one computation are of one kind."""


def library(array: Array) -> ModuleType:
    """numpy or torch: functions that both have by the same name and positional arguments."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def without_slope(array: Array) -> Array:
    """The same numbers, of which no derivative is taken."""
    return array if isinstance(array, np.ndarray) else array.detach()


def as_numpy(array: Array) -> Array:
    """The same numbers as an array of numpy in float64, outside of any derivative."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().double().numpy()


def least_of_groups(values: Array, group: Array, count: int) -> Array:
    """The least value (R, count) of every group in each row; inf of a group without members.

    `group` (k,), an array of numpy, is the group of each of the k columns of `values` (R, k).
    """
    lib = library(values)
    if lib is np:
        least = np.full((count, len(values)), np.inf)
        np.minimum.at(least, group, values.T)
        return least.T
    found = lib.full((len(values), count), lib.inf).to(values)
    index = lib.from_numpy(group).to(values.device).expand(len(values), -1)
    return found.scatter_reduce(1, index, values, "amin")
