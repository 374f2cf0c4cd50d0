"""Runs the checker: `python -I -S FOLDER NETWORK SPEC CERTIFICATE [--jobs N]`."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    # The folder is run by itself: only its parent makes it a package. Nothing else is looked for
    # there first, so that no neighbour takes the place of a standard module.
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    sys.path.append(str(here.parent))
    sys.exit(import_module(f"{here.name}.command").main(sys.argv[1:]))
