"""The demo: one explanation property that holds and one that does not, on the example network.

    python examples/demo.py          (or: make demo)

It runs the commands that it prints, in this folder, and checks what they answer. Exit code 0 only
if the first claim is proved by a certificate that the checker accepts a second time, and the second
refuted by a witness that replays.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECONDS = "60"


def verifex(*words: str) -> tuple[int, str]:
    """Run a command, show it with its output; its exit code and the first word it printed."""
    print(f"\n$ verifex {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "verifex", *words]
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    return done.returncode, (done.stdout.split() or ["nothing"])[0]


def proof(folder: Path) -> bool:
    """The claim that holds: proved, and its certificate checked once more by itself."""
    file = str(folder / "top3_stable.vxc")
    question = ("breast_cancer.onnx", "top3_stable.toml")
    answer = verifex("verify", *question, "-t", SECONDS, "--certificate", file)
    if answer != (0, "PROVED"):
        return False
    print("\nThe certificate again, by the checker alone. It reads network and spec itself, in")
    print("exact arithmetic, with nothing but Python's standard library:")
    return verifex("check", *question, file) == (0, "valid")


def refutation(folder: Path) -> bool:
    """The claim that does not hold: refuted, and its witness evaluated once more."""
    file = str(folder / "witness.json")
    question = ("breast_cancer.onnx", "top3_moves.toml")
    answer = verifex("verify", *question, "-t", SECONDS, "--save-witness", file)
    if answer != (1, "REFUTED"):
        return False
    print("\nThe witness, read back from its file and evaluated again in exact numbers:")
    return verifex("replay", *question, file, "--quiet") == (1, "refuted")


def main() -> int:
    """Ask both questions; 0 if both answers are what they should be."""
    print("A 30-16-16-2 network, trained on scikit-learn's breast-cancer data, explained by its")
    print("gradient. Do the three most important measurements stay the same around patient 4?")
    print("\n1. For every input within 4 % of the range of each measurement:")
    with tempfile.TemporaryDirectory() as folder:
        proved = proof(Path(folder))
        print("\n2. Within 5 %:")
        refuted = refutation(Path(folder))

    print("\n3. How far can one component of the explanation move within 4 %?")
    question = ("breast_cancer.onnx", "top3_stable.toml")
    verifex("bound", *question, "-t", SECONDS, "-e", "component:worst_texture")

    if not (proved and refuted):
        print("This is not what the demo should show.", file=sys.stderr)
        return 1
    print("\nWithin 4 % the claim is proved, within 5 % it is refuted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
