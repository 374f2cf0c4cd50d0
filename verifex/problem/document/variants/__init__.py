"""A spec with something else in it: changed keys as a file, or the claim at every radius."""
