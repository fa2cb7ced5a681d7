"""A line is read as json.loads reads it, or refused as json.loads refuses it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.json_lines import decode_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES, st.booleans(), st.sampled_from(("", "\n", "\r\n", "  \n")))
def test_a_value_comes_back(value: object, ascii_only: bool, end: str) -> None:
    line = (end + json.dumps(value, ensure_ascii=ascii_only) + end).encode("utf-8", "surrogatepass")
    assert decode_line(line) == json.loads(line) == value


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b'{"a": 1} x\n', b"1 2", b"\xff\xfe\n", b"1\x0c", b'{"a": tru}'])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line 1|utf-8"):
        decode_line(line)
