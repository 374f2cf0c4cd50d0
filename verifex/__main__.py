"""`python -m verifex`: the command line."""

from verifex.cli import main

if __name__ == "__main__":
    main()
