"""Files in, files out: as many and as large as they may be, on one machine or a Ray cluster.

Modules, in the order data flows through them:

settings.py  what can be set
reading.py   inputs in windows of rows; bad rows go aside
plan.py      inputs, settings, bundle: all that the parts follow from
folder.py    the output folder: lock, journal, manifest
scorer.py    windows to tables with predictions
cluster.py   the same on Ray
run.py       the run: begin or resume, score, finish
"""

from xmpress.scoring.run import Report, Totals, score
from xmpress.scoring.settings import ScoreSettings

__all__ = ["Report", "ScoreSettings", "Totals", "score"]
