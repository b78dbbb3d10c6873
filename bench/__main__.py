"""``python -m bench``; guarded, since spawned processes import the main module again."""

from bench.cli import main

if __name__ == "__main__":
    main()
