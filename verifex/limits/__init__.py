"""Time and memory of a question, as the deepest layers see them."""
