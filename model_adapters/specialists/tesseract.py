"""The adapter ``tesseract``: the program of that name, one process a picture."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_adapters.contract import AdapterError
from model_adapters.specialists.reading import ReadingAdapter, files_fingerprint

if TYPE_CHECKING:
    from PIL import Image

MISSING = "tesseract is not installed: apt-get install tesseract-ocr (or brew install tesseract)."
SECONDS = 120  # for one picture


class TesseractAdapter(ReadingAdapter):
    """Reads with Tesseract.

    Args:
        language: names of its language files, with ``+`` between several.
        psm: its page segmentation mode: 3 finds columns and lines, 6 expects one block, 7 one line, 8 one word.
        scale: pictures are enlarged by this factor first.
    """

    name = "tesseract"

    def __init__(self, language: str = "eng", psm: int = 3, scale: float = 1.0) -> None:
        super().__init__(scale)
        program = shutil.which("tesseract")
        if program is None:
            raise AdapterError(MISSING)
        if not 0 <= psm <= 13:
            raise AdapterError(f"tesseract: psm={psm} is no page segmentation mode; give 0 to 13.")
        self._program, self._language, self._psm = program, language, psm
        self._version = self._run("--version").split("\n", 1)[0].removeprefix("tesseract").strip()
        self._weights = files_fingerprint(self._language_files())

    def about(self) -> Mapping[str, Any]:
        return {
            "model": f"tesseract {self._version}",
            "weights": self._weights,
            "language": self._language,
            "psm": self._psm,
        }

    def read(self, image: Image.Image) -> str:
        picture = io.BytesIO()
        image.save(picture, "PNG", compress_level=1)
        arguments = ("stdin", "stdout", "-l", self._language, "--psm", str(self._psm))
        lines = self._run(*arguments, data=picture.getvalue()).split("\n")
        return "\n".join(line.strip() for line in lines if line.strip())

    def _language_files(self) -> list[Path]:
        """The first line of its list names the folder: ``List of available languages in "/usr/share/..." (2):``."""
        first, *names = self._run("--list-langs").split("\n")
        folder = Path(first.split('"')[1] if first.count('"') == 2 else "")
        wanted = self._language.split("+")
        for name in wanted:
            if name not in names:
                known = ", ".join(filter(None, names))
                raise AdapterError(f"tesseract has no language {name!r}; it has {known}. Install its language file.")
        return [folder / f"{name}.traineddata" for name in wanted]

    def _run(self, *arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(  # noqa: S603 - the program found on PATH, with arguments of ours
            [self._program, *arguments], input=data, capture_output=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise AdapterError(f"tesseract ended with {done.returncode}: {done.stderr.decode(errors='replace')[:300]}")
        return done.stdout.decode("utf-8", "replace").replace("\f", "")
