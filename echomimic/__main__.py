"""``python -m echomimic``."""

from echomimic.cli import main

if __name__ == "__main__":
    main()
