"""From a spec (a file, or Python) and a network to a `Problem`."""
