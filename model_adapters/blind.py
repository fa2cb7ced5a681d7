"""The adapter ``blind``: another adapter that is shown no picture. What it scores, the questions give away."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from model_adapters.contract import AdapterError, Batching, Capabilities, ImageRef, ModelAdapter, Request, Response
from model_adapters.registry import adapter_class, load_adapter

if TYPE_CHECKING:
    from model_adapters.probe import Probe

GREY = (128, 128, 128)
KINDS = ("none", "grey")


class BlindAdapter(ModelAdapter):
    """Takes the pictures out of every request and passes it on.

    Args:
        base: name of the adapter that answers.
        image: ``none`` asks by text alone, through the base's option ``text_only`` where it has one; ``grey`` puts a
            grey picture of the same size in place of each, for models that cannot be asked without one.
        options: the base's own.

    Raises:
        AdapterError: unknown base, option or kind, or a base that cannot answer without a picture.
    """

    def __init__(self, base: str = "omnilmm", image: str = "none", **options: Any) -> None:
        if image not in KINDS:
            raise AdapterError(f"blind: image={image!r} is not known; use none or grey.")
        if base == "blind":
            raise AdapterError("blind: base=blind would take away pictures that are gone; name the model itself.")
        self._image = image
        if image == "none" and "text_only" in inspect.signature(adapter_class(base)).parameters:
            options.setdefault("text_only", True)
        self._base = load_adapter(base, **options)
        can = self._base.capabilities
        if image == "none" and not can.text_only:
            self._base.close()
            raise AdapterError(
                f"blind: {base!r} cannot answer without a picture; show it grey ones with -o image=grey."
            )
        self.capabilities: Capabilities = replace(can, max_images=None) if image == "none" else can

    def identity(self) -> Mapping[str, Any]:
        """The base's identity, with what was taken from it."""
        own = dict(self._base.identity())
        changed = {"adapter": "blind", "base": own.get("adapter"), "model": f"{own.get('model')} blind"}
        return {**own, **changed, "image": self._image, "control": True}

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        return self._base.generate(map(self._blinded, requests))

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        return self._base.score_choices(map(self._blinded, requests))

    def prompt_text(self, request: Request) -> str:
        return self._base.prompt_text(self._blinded(request))

    @classmethod
    def verify_weights(cls, base: str = "omnilmm", image: str = "none", **options: Any) -> str | None:
        """The base's."""
        return adapter_class(base).verify_weights(**options)

    def probe(self) -> Probe:
        return self._base.probe()

    def batching(self) -> Batching | None:
        return self._base.batching()

    def memory_mib(self) -> Mapping[str, float | None]:
        return self._base.memory_mib()

    def stop(self) -> None:
        self._base.stop()

    def close(self) -> None:
        self._base.close()

    def _blinded(self, request: Request) -> Request:
        return replace(request, turns=tuple(replace(t, content=tuple(self._parts(t.content))) for t in request.turns))

    def _parts(self, content: Iterable[str | ImageRef]) -> Iterator[str | ImageRef]:
        for part in content:
            if isinstance(part, str):
                yield part
            elif self._image == "grey":
                yield _grey(part)


def _grey(picture: ImageRef) -> ImageRef:
    """A grey picture of the same size. A picture that cannot be opened fails when it is read, as the original would."""

    def read() -> bytes:
        from PIL import Image, UnidentifiedImageError

        data = picture.read()
        try:
            with Image.open(io.BytesIO(data)) as opened:
                return _grey_png(opened.size)
        except UnidentifiedImageError:
            raise OSError(f"{picture.name}: {len(data)} bytes that are no picture") from None
        except (SyntaxError, ValueError) as error:
            raise OSError(f"{picture.name}: {error}") from error

    name = hashlib.sha256(b"grey" + picture.sha256.encode()).hexdigest()
    return ImageRef(name, f"{picture.name} in grey", read)


@lru_cache(maxsize=256)
def _grey_png(size: tuple[int, int]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size, GREY).save(out, "PNG")
    return out.getvalue()
