"""A checkpoint of random weights in the original layout, for any config: to try sizes, memory and speed without
weights.

Written tensor by tensor, so that the full 3.4 B configuration needs no more than a few hundred MB of memory to make.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.checkpoint import MAX_SHARD_BYTES
from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.layout import OmniLMMLayout
from model_adapters.omnilmm.tensor_files import INDEX_SUFFIX, SINGLE_SAFETENSORS

BF16_BYTES = 2
_BLOCK = 2**22  # random numbers that are drawn; large tensors repeat them


def write_random_checkpoint(source: Path, target: Path, seed: int = 0) -> Path:
    """Write a checkpoint.

    Args:
        source: folder with config.json and tokenizer.model; an index there says which tensor goes into which shard.
        target: folder to write into; made if absent.
        seed: of the random numbers.

    Returns:
        ``target``.

    Raises:
        AdapterError: config or tokenizer is not OmniLMM's, or the index does not fit the config.
    """
    config = OmniLMMConfig.from_json(source)
    shapes = OmniLMMLayout(config).shapes()
    target.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.model"):
        shutil.copyfile(source / name, target / name)
    weight_map = _weight_map(source, shapes)
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(seed))
    for file in sorted(set(weight_map.values())):
        names = [name for name in sorted(shapes) if weight_map[name] == file]
        _write_file(target / file, {name: shapes[name] for name in names}, config, block)
    if len(set(weight_map.values())) > 1:
        total = BF16_BYTES * sum(math.prod(shape) for shape in shapes.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (target / (SINGLE_SAFETENSORS + INDEX_SUFFIX)).write_text(json.dumps(index, indent=1) + "\n")
    return target


def _weight_map(source: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Which file each tensor goes into: as the source's index says, else in the order of names."""
    index = source / (SINGLE_SAFETENSORS + INDEX_SUFFIX)
    if index.is_file():
        given: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        if set(given) != set(shapes):
            odd = sorted(set(given) ^ set(shapes))
            raise AdapterError(f"{index} does not fit its config.json: {len(odd)} tensors differ, e.g. {odd[0]}.")
        return given
    number, filled, numbers = 1, 0, {}
    for name, shape in sorted(shapes.items()):
        size = BF16_BYTES * math.prod(shape)
        if filled and filled + size > MAX_SHARD_BYTES:
            number, filled = number + 1, 0
        filled += size
        numbers[name] = number
    if number == 1:
        return dict.fromkeys(shapes, SINGLE_SAFETENSORS)
    return {name: f"model-{at:05d}-of-{number:05d}.safetensors" for name, at in numbers.items()}


def _write_file(file: Path, shapes: Mapping[str, tuple[int, ...]], config: OmniLMMConfig, block: Tensor) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + BF16_BYTES * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # data starts at a multiple of eight
    with file.open("wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for name, shape in shapes.items():
            for part in _values(name, shape, config, block):
                out.write(part.view(torch.uint8).numpy().data)


def _values(name: str, shape: tuple[int, ...], config: OmniLMMConfig, block: Tensor) -> Iterator[Tensor]:
    """Values in bf16, a block at a time: norms 1, biases 0, matrices of a scale that keeps activations tame."""
    size = math.prod(shape)
    if name.endswith("embed_tokens.weight"):
        std = 1.0 / config.language.scale_emb
    elif name.endswith(("lm_head.weight", "query", "pos_embed")):
        std = 0.02
    else:
        std = math.prod(shape[1:]) ** -0.5
    if len(shape) == 1:
        is_norm = name.endswith("weight")  # the only vectors among weights
        part = torch.full((min(size, _BLOCK),), float(is_norm), dtype=torch.bfloat16)
    else:
        # Each tensor starts at another place of the block, so that no two are alike.
        part = (block.roll(sum(name.encode()) * 9973 % _BLOCK) * std).to(torch.bfloat16)
    for begin in range(0, size, len(part)):
        yield part[: min(len(part), size - begin)]
