"""Runs the checker: `python -I -S FOLDER NETWORK SPEC CERTIFICATE [--jobs N]`."""

import os
import sys
from importlib import import_module

if __name__ == "__main__":
    # The folder is run by itself: only its parent makes it a package. Nothing else is looked for
    # there first, so that no neighbour takes the place of a standard module.
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    sys.path.append(os.path.dirname(here))
    sys.exit(import_module(f"{os.path.basename(here)}.command").main(sys.argv[1:]))
