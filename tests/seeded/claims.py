"""Small claims with known truth, as files under claims/: NAME.onnx and NAME.toml.

The first line of a spec says whether its claim is "# true" or "# false" (decided by region
enumeration and by cvc5 when they were written); nothing of verifex is needed to read it.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "claims"
CLAIMS = tuple(sorted(p.stem for p in FOLDER.glob("*.toml")))


def claim(name: str) -> tuple[Path, Path, bool]:
    """Network, spec, and whether the claim is true."""
    spec = FOLDER / f"{name}.toml"
    first = spec.read_text(encoding="utf-8").splitlines()[0]
    return FOLDER / f"{name}.onnx", spec, {"# true": True, "# false": False}[first]
