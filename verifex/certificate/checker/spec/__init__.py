"""Reads a spec (a TOML file, see specs/LANGUAGE.md) as a claim.

Read in this order: `claim.py` puts everything together; `input_table.py`, `region.py` and
`explanation.py` read the tables of a spec; `requirements.py` and `properties/` make formulas of
what is required. Below them: values and tables (`toml_values.py`), formulas (`formulas.py`), names
of features (`names.py`), data files (`data/`), values at x0 (`reference.py`), weighted sums of
outputs (`functionals.py`) and linear constraints (`constraints.py`).

Whatever is not understood wholly is refused: a key, a word, a number, a line of a file.
"""
