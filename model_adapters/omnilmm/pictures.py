"""Pictures to visual tokens: decoded ahead in threads, encoded in batches, each once while memory allows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model_adapters.contract import ImageRef
from model_adapters.omnilmm.devices import wait_for
from model_adapters.omnilmm.features import FeatureStore
from model_adapters.omnilmm.image_processing import squash
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.pixels import to_pixels
from model_adapters.probe import StageClock

THREADS = 4
MS = 1000.0

Pixels = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Pictures:
    """The pictures of one batch: features by position, position by digest, and what each first use cost."""

    features: Tensor | None = None
    position: dict[str, int] = field(default_factory=dict)
    image_ms: dict[str, float] = field(default_factory=dict)  # of pictures that were decoded for this batch
    vision_ms: dict[str, float] = field(default_factory=dict)

    def cost(self, image: ImageRef | None) -> tuple[float | None, float | None]:
        """(image_ms, vision_ms) of a request; who comes first pays, who reuses pays 0.0."""
        if image is None:
            return None, None
        return self.image_ms.pop(image.sha256, 0.0), self.vision_ms.pop(image.sha256, 0.0)


class PictureEncoder:
    """Makes visual tokens.

    Args:
        model: None for a text model, which has no pictures.
        batch_size: pictures encoded at a time.
        cache_mib: visual tokens kept for later batches.
        apply_exif: turn pictures as their EXIF orientation says.
    """

    def __init__(self, model: OmniLMM | None, *, batch_size: int, cache_mib: float, apply_exif: bool) -> None:
        self.clock = StageClock()  # told where stages begin and end while somebody measures
        self._model, self._batch_size, self._apply_exif = model, batch_size, apply_exif
        self._store = FeatureStore(cache_mib)
        self._ahead: dict[str, Future[tuple[Pixels, float]]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="images")

    def look_ahead(self, images: Iterable[ImageRef | None]) -> None:
        """Have threads decode those of these pictures that are neither encoded nor being decoded; forget others."""
        refs = {image.sha256: image for image in images if image is not None}
        self._ahead = {sha256: future for sha256, future in self._ahead.items() if sha256 in refs}
        for sha256, ref in refs.items():
            if sha256 not in self._ahead and sha256 not in self._store:
                self._ahead[sha256] = self._threads.submit(self._decode, ref)

    def encode(self, images: Sequence[ImageRef | None]) -> Pictures:
        """Features of a batch's distinct pictures: kept ones, and new ones in as few vision batches as may be."""
        refs = {image.sha256: image for image in images if image is not None}
        pictures = Pictures(position={sha256: i for i, sha256 in enumerate(refs)})
        if not refs or self._model is None:
            return pictures
        found = {sha256: self._store.get(sha256) for sha256 in refs}
        new = [sha256 for sha256, features in found.items() if features is None]
        for begin in range(0, len(new), self._batch_size):
            names = new[begin : begin + self._batch_size]
            # All are handed to the threads before the first is waited for.
            waiting = [self._ahead.pop(name, None) or self._threads.submit(self._decode, refs[name]) for name in names]
            decoded = [future.result() for future in waiting]
            pictures.image_ms |= {name: ms for name, (_, ms) in zip(names, decoded, strict=True)}
            start = time.perf_counter()
            features = self._features([square for square, _ in decoded], self._model)
            spent_ms = (time.perf_counter() - start) * MS / len(names)
            for name, one in zip(names, features, strict=True):
                found[name] = one
                pictures.vision_ms[name] = spent_ms
                self._store.put(name, one.clone())
        pictures.features = torch.stack([features for features in found.values() if features is not None])
        return pictures

    def forget(self) -> None:
        """Drop features kept for later batches."""
        self._store.clear()

    def close(self) -> None:
        """Stop the threads and forget everything."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ahead.clear()
        self._store.clear()

    def _features(self, squares: Sequence[Pixels], model: OmniLMM) -> Tensor:
        with self.clock.device("h2d"):
            pixels = to_pixels(squares, model.device, model.dtype)  # (n, 3, side, side)
        features = model.image_features(pixels)  # (n, query_num, hidden)
        wait_for(model.device)
        return features

    def _decode(self, ref: ImageRef) -> tuple[Pixels, float]:
        """Read, decode and squash one picture; also how long that took."""
        assert self._model is not None
        start = time.perf_counter()
        with self.clock.host("image_decode"):
            image = ref.open()
        with self.clock.host("resize"):
            square = squash(image, self._model.config.image_size, apply_exif=self._apply_exif)
        return square, (time.perf_counter() - start) * MS
