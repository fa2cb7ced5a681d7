"""Importing matplotlib without its lists of properties changes nothing that is drawn."""

import subprocess
import sys

DRAW = """
import gc, hashlib
from reports import figures
dots = [figures.Dot("one", 40.0, 30.0, 50.0, floors=(25.0,)), figures.Dot("two", 60.0, 50.0, 70.0, published=(65.0,))]
for narrow in (False, True):
    drawn = figures.dot_whisker(dots, axis="score, %", narrow=narrow)
    print(*(hashlib.sha256(figures.export(drawn, kind)).hexdigest() for kind in ("svg", "pdf", "png")))
from matplotlib import artist, lines
line = lines.Line2D([0, 1], [0, 1])
line.set(linewidth=3)
print(gc.isenabled(), "linewidth" in artist.kwdoc(lines.Line2D), line.get_linewidth())
"""


def _printed(before: str) -> str:
    done = subprocess.run([sys.executable, "-c", before + DRAW], capture_output=True, text=True, check=True)
    return done.stdout


def test_figures_are_the_same_bytes_whether_or_not_matplotlib_was_imported_as_usual():
    ours, usual = _printed(""), _printed("import matplotlib.figure\n")
    assert ours == usual
    assert len(ours.split()) == 9


def test_afterwards_matplotlib_lists_and_sets_properties_and_garbage_is_collected_again():
    assert _printed("").split("\n")[2] == "True True 3.0"


def test_a_process_that_collects_no_garbage_still_collects_none():
    assert _printed("import gc\ngc.disable()\n").split("\n")[2] == "False True 3.0"
