"""``python bench/run.py --help``: the benchmarks from a bare checkout, without an installation."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from bench.command import main

    sys.exit(main())
