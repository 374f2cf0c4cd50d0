"""The checker of certificates: the standard library and whole numbers only, nothing of verifex."""
