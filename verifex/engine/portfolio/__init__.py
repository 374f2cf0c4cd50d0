"""Several engines on one question: each gets an early slice of time, then time by what it gains."""
