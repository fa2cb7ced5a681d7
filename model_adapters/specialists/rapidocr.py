"""The adapter ``rapidocr``: PaddleOCR's networks under onnxruntime, from the wheel of the package rapidocr."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_adapters.contract import AdapterError
from model_adapters.specialists.reading import ReadingAdapter, files_fingerprint, in_lines

if TYPE_CHECKING:
    from PIL import Image

EXTRA = "rapidocr needs two packages that are not installed: pip install 'omnilmm-eval[rapidocr]'"


class RapidOcrAdapter(ReadingAdapter):
    """Finds lines of text and reads them.

    Args:
        detect: find lines first; false takes the whole picture as one line of text.
        text_score: pieces that the reader is less sure of are left out, 0 to 1.
        scale: pictures are enlarged by this factor first.
        threads: of onnxruntime; 0 lets it choose.
    """

    name = "rapidocr"

    def __init__(self, detect: bool = True, text_score: float = 0.5, scale: float = 1.0, threads: int = 0) -> None:
        super().__init__(scale)
        try:
            import onnxruntime  # noqa: F401 - rapidocr names it only when a picture comes
            import rapidocr
        except ImportError as error:
            raise AdapterError(f"{EXTRA} ({error}).") from error
        models = sorted((Path(rapidocr.__file__).parent / "models").glob("*.onnx"))
        if len(models) < 3:  # the library would fetch them from the network
            raise AdapterError("rapidocr: its wheel ships no weights. Install rapidocr 3.4 or newer from PyPI.")
        self._weights = files_fingerprint(models)
        self._detect, self._text_score = detect, text_score
        settings = {"Global.log_level": "critical", "Global.text_score": text_score}
        if threads:
            settings["EngineConfig.onnxruntime.intra_op_num_threads"] = threads
        self._engine: Any = rapidocr.RapidOCR(params=settings)

    def about(self) -> Mapping[str, Any]:
        return {
            "model": f"rapidocr {version('rapidocr')}",
            "weights": self._weights,
            "dtype": "float32",
            "onnxruntime": version("onnxruntime"),
            "detect": self._detect,
            "text_score": self._text_score,
        }

    def read(self, image: Image.Image) -> str:
        import numpy as np

        pixels = np.asarray(image)[:, :, ::-1]  # the library expects blue, green, red
        if not self._detect:
            found = self._engine(pixels, use_det=False, use_cls=False, use_rec=True)
            return " ".join(found.txts or ())
        found = self._engine(pixels, use_det=True, use_cls=True, use_rec=True)
        if found.boxes is None or found.txts is None:
            return ""
        corners = np.asarray(found.boxes, dtype=float)  # (pieces, 4 corners, x and y)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).tolist()
        return in_lines([(tuple(box), text) for box, text in zip(boxes, found.txts, strict=True)])

    def close(self) -> None:
        super().close()
        self._engine = None
