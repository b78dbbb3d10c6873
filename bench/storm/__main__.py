"""``python -m bench.storm``."""

from bench.storm.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
