"""Weights in and out of the original layout.

Loading streams: the model is built without memory (meta device), headers are compared with what the config promises,
and each tensor is read, converted and put in its place before the next one is touched. Peak memory is the weights
plus one tensor. A tensor of a safetensors file that is stored as it is wanted goes to a GPU through pinned memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, language_config_dict
from model_adapters.omnilmm.layout import Layout, MiniCPMLayout, OmniLMMLayout
from model_adapters.omnilmm.tensor_files import SINGLE_SAFETENSORS, SafetensorsFile, TensorFile, open_tensor_files

MAX_SHARD_BYTES = 5_000_000_000  # as the released checkpoint
_LISTED = 12  # names that one error spells out
_NOT_WEIGHTS = (".rotary_emb.inv_freq",)  # a buffer that older exports stored


def load_weights(
    module: nn.Module,
    folder: Path,
    layout: Layout,
    *,
    dtype: torch.dtype,
    device: torch.device,
    files: Mapping[str, TensorFile] | None = None,
) -> dict[str, TensorFile]:
    """Fill a module that was built on the meta device.

    Args:
        module: its parameters are replaced, in ``dtype`` on ``device``.
        folder: the checkpoint.
        layout: what must be stored, and where it goes.
        files: what to read instead of the folder's own weights (a merged or averaged variant of them).

    Returns:
        The file of each stored tensor.

    Raises:
        AdapterError: weights are missing, damaged, unexpected or of another shape.
    """
    files = open_tensor_files(folder) if files is None else files
    files = {name: file for name, file in files.items() if not name.endswith(_NOT_WEIGHTS)}
    check_names_and_shapes({name: file.shapes[name] for name, file in files.items()}, layout, folder)
    for name in sorted(files, key=lambda name: (str(files[name].path), name)):
        stored = _read(files[name], name, torch.float32 if name == "vpm.pos_embed" else dtype, device)
        for target, tensor in layout.unpack(name, stored):
            _assign(module, target, tensor.to(device=device, dtype=dtype).contiguous())
    return files


def _read(file: TensorFile, name: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor in ``dtype``, on the device or still on the host.

    What must be converted, and files that are merged, averaged or pickled, go through the host: so the device never
    holds a second copy in another format.
    """
    if device.type != "cpu" and isinstance(file, SafetensorsFile) and file.dtype(name) == dtype:
        return file.read_to(name, device)
    return file.read(name).to(dtype=dtype)


def check_names_and_shapes(found: Mapping[str, tuple[int, ...]], layout: Layout, folder: Path) -> None:
    """Compare stored tensors with the layout; one error lists everything that is wrong."""
    expected = layout.shapes()
    missing = sorted(set(expected) - set(found) - layout.optional())
    unexpected = sorted(set(found) - set(expected))
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    parts = [
        f"{len(names)} {kind}: {', '.join(names[:_LISTED])}{', ...' if len(names) > _LISTED else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
        if names
    ]
    if parts:
        raise AdapterError(
            f"The weights in {folder} do not fit its config.json. Tensors {'; '.join(parts)}. Expected "
            f"{len(expected)} tensors. "
            "Weights and config are of different models, or the download is incomplete."
        )


def save_checkpoint(
    module: nn.Module,
    folder: str | Path,
    config: OmniLMMConfig | LanguageConfig,
    *,
    tokenizer_model: str | Path | bytes,
    dtype: torch.dtype = torch.bfloat16,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Path:
    """Write a model in the original layout: config, tokenizer and safetensors, in shards above ``max_shard_bytes``.

    Args:
        module: an ``OmniLMM`` (with an :class:`OmniLMMConfig`) or a ``MiniCPMDecoder`` (with a
        :class:`LanguageConfig`).
        folder: made if absent; files of the same names are replaced.
        tokenizer_model: the SentencePiece model, as file or bytes.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, OmniLMMConfig):
        if config.vision.table_side != config.grid_side:  # the table has been resampled to the grid that runs
            config = replace(config, vision=replace(config.vision, image_size=config.image_size))
        layout: Layout = OmniLMMLayout(config)
        raw, language = config.to_dict(), config.language
    else:
        layout, raw, language = MiniCPMLayout(config), language_config_dict(config), config
    stored = layout.pack(module.state_dict())
    stored = {name: tensor.detach().to("cpu", dtype, copy=True).contiguous() for name, tensor in sorted(stored.items())}
    check_names_and_shapes({name: tuple(tensor.shape) for name, tensor in stored.items()}, layout, folder)
    raw["torch_dtype"] = str(dtype).removeprefix("torch.")
    _write_json(folder / "config.json", raw)
    ends = {"bos_token_id": language.bos_token_id, "eos_token_id": language.eos_token_id}
    _write_json(folder / "generation_config.json", ends)
    proto = tokenizer_model if isinstance(tokenizer_model, bytes) else Path(tokenizer_model).read_bytes()
    _write(folder / "tokenizer.model", proto)
    write_shards(stored, folder, max_shard_bytes)
    return folder


def write_shards(stored: Mapping[str, Tensor], folder: Path, max_shard_bytes: int = MAX_SHARD_BYTES) -> None:
    """Write tensors as one safetensors file, or as shards with an index; stale files of the other form are removed."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in stored.items():
        if shards[-1] and filled + tensor.nbytes > max_shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.nbytes
    index = folder / f"{SINGLE_SAFETENSORS}.index.json"
    if len(shards) == 1:
        _save_tensors(shards[0], folder / SINGLE_SAFETENSORS)
        index.unlink(missing_ok=True)
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save_tensors(shard, folder / file)
        weight_map |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in stored.values())
    _write_json(index, {"metadata": {"total_size": total}, "weight_map": weight_map})
    (folder / SINGLE_SAFETENSORS).unlink(missing_ok=True)


def _assign(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Replace one parameter, keeping whether it is trained."""
    owner, _, leaf = name.rpartition(".")
    parent = module.get_submodule(owner)
    old = getattr(parent, leaf)
    if old.shape != tensor.shape:
        raise AdapterError(f"Parameter {name} has shape {list(old.shape)}, but {list(tensor.shape)} was stored for it.")
    setattr(parent, leaf, nn.Parameter(tensor, requires_grad=old.requires_grad))


def _save_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    partial = file.with_name(file.name + ".partial")
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.replace(file)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    _write(file, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def _write(file: Path, data: bytes) -> None:
    partial = file.with_name(file.name + ".partial")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
