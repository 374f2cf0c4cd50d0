"""The outputs that a claim speaks of: functionals of them, and what is said of a head."""
