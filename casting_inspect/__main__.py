"""`python -m casting_inspect` is `casting-inspect`."""

from casting_inspect.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
