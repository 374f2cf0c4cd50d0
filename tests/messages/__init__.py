"""What verifex says to mistakes, kept as they are said: `mistakes.toml` is read here, in a place
that has the files that people have, and compared word by word.

    python -m tests.messages.rewrite      writes what is said now into `mistakes.toml`
"""
