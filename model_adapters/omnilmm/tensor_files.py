"""Stored tensors of a checkpoint folder: which there are, their shapes, and their bytes one at a time.

Headers are read at once, data only when asked for, each tensor straight into memory of its own. Nothing stays mapped: a
mapped file that is cut short during a run kills the process, and mapped pages count twice while weights are converted.
Only a tensor that goes to another device is mapped, for as long as its copy takes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # the error of torch's restricted loader, nothing else
from typing import Any, Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from model_adapters.contract import AdapterError

SINGLE_SAFETENSORS = "model.safetensors"
SINGLE_TORCH = "pytorch_model.bin"
INDEX_SUFFIX = ".index.json"
MAX_HEADER_BYTES = 100_000_000  # the format's own limit

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class TensorFile(Protocol):
    """One weight file: shapes known, data on request."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each tensor in it."""
        ...

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own, as stored."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int  # from the start of the file
    nbytes: int


class SafetensorsFile:
    """A ``.safetensors`` file. Layout: header length (8 bytes, little endian), JSON header, data."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = _read_safetensors_header(path)
        self.shapes: Mapping[str, tuple[int, ...]] = {name: entry.shape for name, entry in self._entries.items()}

    def read(self, name: str) -> Tensor:
        """One tensor, read from its place in the file."""
        entry = self._entries[name]
        data = torch.empty(entry.nbytes, dtype=torch.uint8)
        with self.path.open("rb") as file:
            file.seek(entry.offset)
            got = file.readinto(memoryview(data.numpy())) if entry.nbytes else 0
        if got != entry.nbytes:
            raise _truncated(self.path, entry.offset + entry.nbytes, entry.offset + int(got))
        return data.view(entry.dtype).reshape(entry.shape)

    def dtype(self, name: str) -> torch.dtype:
        """Number format that a tensor is stored in."""
        return self._entries[name].dtype

    def read_to(self, name: str, device: torch.device) -> Tensor:
        """One tensor on a device: safetensors reads it into pinned memory, from which the device copies."""
        with safe_open(self.path, framework="pt", device=str(device)) as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


class TorchFile:
    """A ``pytorch_model.bin``, read with ``weights_only`` so that nothing in it can run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
            raise AdapterError(
                f"{path} cannot be loaded as plain weights ({type(error).__name__}: {str(error).splitlines()[0]}). "
                "It is "
                "damaged, or holds more than tensors. Copy it again, or convert it to safetensors."
            ) from error
        if not isinstance(self._state, Mapping) or not all(isinstance(t, Tensor) for t in self._state.values()):
            raise AdapterError(
                f"{path} does not hold a mapping of names to tensors. Use a checkpoint's own weight file."
            )
        self.shapes: Mapping[str, tuple[int, ...]] = {name: tuple(tensor.shape) for name, tensor in self._state.items()}

    def read(self, name: str) -> Tensor:
        """One tensor, copied out of the file."""
        tensor: Tensor = self._state[name]
        return tensor.clone()


def open_tensor_files(folder: Path) -> dict[str, TensorFile]:
    """Find the weights of a checkpoint folder: safetensors before ``pytorch_model.bin``, sharded or single.

    Returns:
        The file of each tensor name.

    Raises:
        AdapterError: no weights, a missing or damaged file, or an index that disagrees with its files.
    """
    if not folder.is_dir():
        raise AdapterError(f"There is no checkpoint folder {folder}. Check the path.")
    for single, reader in ((SINGLE_SAFETENSORS, SafetensorsFile), (SINGLE_TORCH, TorchFile)):
        index = folder / (single + INDEX_SUFFIX)
        if index.is_file():
            return _open_shards(index, reader)
        if (folder / single).is_file():
            file: TensorFile = reader(folder / single)
            return dict.fromkeys(file.shapes, file)
    raise AdapterError(
        f"{folder} holds no weights: expected {SINGLE_SAFETENSORS}, {SINGLE_SAFETENSORS + INDEX_SUFFIX} with its "
        "shards, or "
        f"{SINGLE_TORCH}. Download the checkpoint completely."
    )


def _open_shards(index: Path, reader: type[SafetensorsFile] | type[TorchFile]) -> dict[str, TensorFile]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shard_names = sorted(set(weight_map.values()))
        if not all(isinstance(name, str) and Path(name).name == name for name in shard_names):
            raise ValueError("a shard must be the name of a file in the same folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdapterError(f"{index} is not a weight index ({error}). Copy it again from the checkpoint.") from error
    missing = [name for name in shard_names if not (index.parent / name).is_file()]
    if missing:
        raise AdapterError(
            f"{index.parent} lacks {len(missing)} of {len(shard_names)} weight files that its index names: "
            f"{', '.join(missing)}. Download the checkpoint completely."
        )
    files: dict[str, TensorFile] = {}
    for shard_name in shard_names:
        shard = reader(index.parent / shard_name)
        files.update(dict.fromkeys(shard.shapes, shard))
    lost = [name for name, shard_name in weight_map.items() if name not in files or files[name].path.name != shard_name]
    if lost:
        raise AdapterError(
            f"{index} names {len(lost)} tensors that are not where it says, e.g. {lost[0]} in {weight_map[lost[0]]}. "
            "Index and "
            "weight files are of different checkpoints; download it again."
        )
    return files


def _read_safetensors_header(path: Path) -> dict[str, _Entry]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > MAX_HEADER_BYTES or 8 + length > size:
            raise _truncated(path, 8 + min(length, MAX_HEADER_BYTES), size)
        text = file.read(length)
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        entries = {name: _entry(item, 8 + length) for name, item in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdapterError(
            f"{path} has no readable safetensors header ({type(error).__name__}: {error}). Copy the file again."
        ) from error
    end = max((entry.offset + entry.nbytes for entry in entries.values()), default=8 + length)
    if end > size:
        raise _truncated(path, end, size)
    return entries


def _entry(item: Mapping[str, Any], data_start: int) -> _Entry:
    dtype, shape = DTYPES[item["dtype"]], tuple(int(n) for n in item["shape"])
    begin, end = item["data_offsets"]
    if end - begin != math.prod(shape) * dtype.itemsize or begin < 0:
        raise ValueError(f"data_offsets {begin}..{end} do not fit the shape {list(shape)}")
    return _Entry(dtype, shape, data_start + begin, end - begin)


def _truncated(path: Path, expected: int, found: int) -> AdapterError:
    return AdapterError(
        f"{path} is truncated: {found:,} bytes found, at least {expected:,} expected. The download or copy was "
        "interrupted, or "
        "this is a Git LFS pointer; fetch the file again."
    )
