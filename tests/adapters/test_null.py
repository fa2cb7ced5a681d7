"""The adapter that computes nothing, and what it does when it is told to look at pictures."""

import io

import pytest
from PIL import Image

from model_adapters.contract import ImageRef, Request, Turn
from model_adapters.registry import load_adapter


def picture(read: list[str], name: str) -> ImageRef:
    """A picture that notes when it is read."""

    def data() -> bytes:
        read.append(name)
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(file, "PNG")
        return file.getvalue()

    return ImageRef(name * 64, name, data)


def requests(read: list[str]) -> list[Request]:
    """Four questions on two pictures."""
    pictures = {name: picture(read, name) for name in "ab"}
    return [Request(f"r{i}", (Turn("user", (pictures["ab"[i % 2]], "?")),), choices=("x", "y")) for i in range(4)]


@pytest.mark.parametrize("protocol", ["generate", "score_choices"])
def test_pictures_are_left_alone_unless_it_shall_look_and_then_decoded_once_each(protocol: str) -> None:
    for look, expected in ((0, []), (16, ["a", "b"])):
        read: list[str] = []
        responses = list(getattr(load_adapter("null", look=look), protocol)(requests(read)))
        assert [r.request_id for r in responses] == ["r0", "r1", "r2", "r3"]
        assert sorted(read) == expected


def test_a_picture_that_cannot_be_decoded_is_noticed_only_by_who_looks() -> None:
    broken = ImageRef("c" * 64, "c", lambda: b"no picture")
    request = Request("r", (Turn("user", (broken, "?")),))
    assert next(iter(load_adapter("null").generate([request]))).text == "A"
    with pytest.raises(OSError, match="c: 10 bytes that are no picture"):
        list(load_adapter("null", look=16).generate([request]))
