"""The radius of a claim: the largest one that is shown, the least one that is refuted."""
