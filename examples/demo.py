"""The demo: one explanation property that holds and one that does not, on the example network.

    python examples/demo.py          (or: make demo)

It runs the commands that it prints, in this folder, and checks what they answer. Exit code 0 only
if the first claim is proved or claimed and the second refuted by a witness that replays.
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


def main() -> int:
    """Ask both questions; 0 if both answers are what they should be."""
    print("A 30-16-16-2 network, trained on scikit-learn's breast-cancer data, explained by its")
    print("gradient. Do the three most important measurements stay the same around patient 4?")
    print("\n1. For every input within 4 % of the range of each measurement:")
    code, holds = verifex("verify", "breast_cancer.onnx", "top3_stable.toml", "-t", SECONDS)
    good = (code, holds) in ((0, "PROVED"), (2, "CLAIMED"))

    print("\n2. Within 5 %:")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "witness.json")
        question = ("breast_cancer.onnx", "top3_moves.toml")
        code, moves = verifex("verify", *question, "-t", SECONDS, "--save-witness", file)
        good = good and (code, moves) == (1, "REFUTED")
        if code == 1:
            print("\nThe witness, read back from its file and evaluated again in exact numbers:")
            code, again = verifex("replay", *question, file, "--quiet")
            good = good and (code, again) == (1, "refuted")

    print("\n3. How far can one component of the explanation move within 4 %?")
    question = ("breast_cancer.onnx", "top3_stable.toml")
    verifex("bound", *question, "-t", SECONDS, "-e", "component:worst_texture")

    print(f"\nWithin 4 % the claim is {holds.lower()}, within 5 % it is {moves.lower()}.")
    if holds == "CLAIMED":
        print("Claimed, not proved: the evidence is floating-point; there is no certificate that")
        print("could be checked without it.")
    if not good:
        print("This is not what the demo should show.", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
