"""METEOR through pycocoevalcap and Java gives the score that the same program gave for the reference captions."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from evals.metrics import get_metric

pytestmark = pytest.mark.slow


@pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="pycocoevalcap is not installed")
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")
def test_meteor_equals_the_reference(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "coco_caption.json").read_text(encoding="utf-8"))
    cases = golden["cases"]
    found = get_metric("meteor").compute([c["prediction"] for c in cases], [c["references"] for c in cases])
    assert found["meteor"] == pytest.approx(golden["aggregate"]["first10"]["METEOR"], abs=1e-9)
