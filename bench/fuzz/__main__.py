"""``python -m bench.fuzz``."""

from bench.fuzz.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
