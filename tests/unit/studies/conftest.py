import sys
from pathlib import Path

# Studies are scripts beside each other, not a package.
for study in ("serving", "zoo"):
    sys.path.insert(0, str(Path(__file__).parents[3] / "studies" / study))
