"""`python -m ptmoe`: the `ptmoe` command."""

from ptmoe.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
