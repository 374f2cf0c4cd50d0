"""Does the Python code of a torch module read values of its inputs?

A trace records what a module does to one example. Where Python looks at values (`if x.sum() > 0`,
`float(x[0])`, `torch.equal(x, y)`), the trace holds for that example alone. So the module is run
once on tensors that are followed: what torch computes from one is followed too, and whatever makes
something else of one than a followed tensor, or a fact about shapes, has read a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

SHAPES = frozenset({
    "__len__", "_base", "_is_view", "contiguous", "device", "dim", "dtype", "element_size",
    "get_device", "grad", "grad_fn", "has_names", "is_complex", "is_conj", "is_contiguous",
    "is_cpu", "is_cuda", "is_floating_point", "is_inference", "is_leaf", "is_meta", "is_mkldnn",
    "is_mps", "is_neg", "is_nested", "is_pinned", "is_quantized", "is_same_size", "is_signed",
    "is_sparse", "is_sparse_csr", "is_xpu", "itemsize", "layout", "names", "nbytes", "ndim",
    "ndimension", "nelement", "numel", "output_nr", "requires_grad", "result_type", "retains_grad",
    "shape", "size", "storage_offset", "stride", "type", "_backward_hooks",
})
"""What a tensor says that is the same for all values of its elements."""


class ValueRead(Exception):
    """A value of an input was read, by the function of this name."""


def value_reader(module: Any, example: tuple[Any, ...]) -> str | None:
    """The function by which the module's code reads a value of its inputs, None where none does.

    The module is run once, as it is, on the example. What the module itself raises is passed on.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Followed(torch.Tensor):
        """A tensor that depends on the inputs; what torch computes from it is one as well."""

    class FollowedCalls(TorchFunctionMode):
        """Looks at every call of torch: what goes in, and what comes out."""

        def __torch_function__(
            self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            given = {} if kwargs is None else dict(kwargs)
            found = func(*args, **given)
            name = _name_of(func)
            reads = name not in SHAPES and found is not None and not _any(found, Followed)
            if reads and _any((args, tuple(given.values())), Followed):
                raise ValueRead(name)
            # A slice takes the numbers of its ends, whatever the result is.
            if name in ("__getitem__", "__setitem__") and _any(_ends(args[1]), Followed):
                raise ValueRead(name)
            return found

    try:
        with torch.no_grad(), FollowedCalls():
            module(*(part.detach().clone().as_subclass(Followed) for part in example))
    except ValueRead as read:
        return str(read)
    return None


def _name_of(func: Callable[..., Any]) -> str:
    """The name of a function of torch, or of the attribute that is looked up."""
    name = str(getattr(func, "__name__", func))
    owner = getattr(func, "__self__", None) if name == "__get__" else None
    return str(getattr(owner, "__name__", name))


def _ends(index: Any) -> list[Any]:
    """Starts, stops and steps of the slices of an index."""
    parts = index if isinstance(index, tuple | list) else [index]
    return [end for part in parts if isinstance(part, slice)
            for end in (part.start, part.stop, part.step)]


def _any(found: Any, kind: type) -> bool:
    """Whether something of this kind is in nested tuples, lists and tables."""
    if isinstance(found, kind):
        return True
    if isinstance(found, Mapping):
        return any(_any(value, kind) for value in found.values())
    if isinstance(found, tuple | list):
        return any(_any(value, kind) for value in found)
    return False
