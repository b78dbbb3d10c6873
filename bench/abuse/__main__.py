"""``python -m bench.abuse``."""

from bench.abuse.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
