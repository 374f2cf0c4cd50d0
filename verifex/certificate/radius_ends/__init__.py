"""Both ends of a radius as claims of specs of their own, which the checker reads."""
