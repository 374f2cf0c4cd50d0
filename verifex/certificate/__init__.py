"""Certificates: the format (`format.md`), writing them from a search's record, exporting leaves."""
