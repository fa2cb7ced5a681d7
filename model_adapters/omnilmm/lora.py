"""LoRA adapters in PEFT's format, merged into a checkpoint while it is read: W + scale B A.

Hu et al. 2021 (https://arxiv.org/abs/2106.09685): scale = alpha / r; rank-stabilised (Kalajdzievski 2023,
https://arxiv.org/abs/2312.03732): alpha / sqrt(r). Nothing of PEFT is needed to read its files: ``adapter_config.json``
and ``adapter_model.safetensors``. The sum is made in float32 and rounded once, to the format that the model runs in.

An adapter may have been trained on the original code (names as stored, one matrix for queries, keys and values of the
vision tower) or on this project's modules; both names are found.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.layout import Layout
from model_adapters.omnilmm.tensor_files import SafetensorsFile, TensorFile, TorchFile

CONFIG, WEIGHTS, OLD_WEIGHTS = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_PREFIX = "base_model.model."
_PAIR = re.compile(r"(?P<module>.+)\.lora_(?P<kind>embedding_)?(?P<side>[AB])(?:\.default)?(?:\.weight)?")
_SAVED = re.compile(r"(?:\.modules_to_save(?:\.default)?|\.original_module)(?=\.)")


@dataclass(frozen=True, slots=True)
class Change:
    """What one module's adapter adds to (or puts in the place of) rows of a stored tensor.

    Attributes:
        begin, rows: which rows of the stored tensor.
        down, up: A (r, in) and B (out, r) of a pair; None where ``whole`` is given.
        scale: factor of the product.
        whole: the tensor that replaces the rows.
        transposed: an embedding's pair: its product is (dim, vocabulary).
    """

    begin: int
    rows: int
    down: Tensor | None = None
    up: Tensor | None = None
    scale: float = 1.0
    whole: Tensor | None = None
    transposed: bool = False

    def apply(self, weight: Tensor) -> None:
        """Change a stored tensor, in place, in float32."""
        part = weight[self.begin : self.begin + self.rows]
        if self.whole is not None:
            part.copy_(self.whole)
            return
        assert self.down is not None
        assert self.up is not None
        delta = self.up.float() @ self.down.float()  # (out, in)
        part += (delta.T if self.transposed else delta) * self.scale


class ChangedFile:
    """A weight file whose tensors are changed as they are read."""

    def __init__(self, file: TensorFile, changes: Mapping[str, list[Change]]) -> None:
        self._file, self._changes = file, changes
        self.path, self.shapes = file.path, file.shapes

    def read(self, name: str) -> Tensor:
        """The tensor; in float32 where something was changed."""
        tensor = self._file.read(name)
        if name not in self._changes:
            return tensor
        tensor = tensor.float()
        for change in self._changes[name]:
            change.apply(tensor)
        return tensor


def merge_lora(
    files: Mapping[str, TensorFile], folder: Path, layout: Layout, *, tied: bool
) -> tuple[dict[str, TensorFile], str]:
    """Weight files with an adapter merged into them, and the adapter's fingerprint.

    Args:
        files: the checkpoint's file of each stored tensor.
        folder: of the adapter, as PEFT's ``save_pretrained`` writes it.
        layout: the checkpoint's names, and how they map to modules.
        tied: whether head and embedding are one matrix.

    Raises:
        AdapterError: no such adapter, one of another kind, or one of another model.
    """
    config, stored = _read_config(folder), open_lora(folder)
    named = places(layout)
    changes: dict[str, list[Change]] = {}
    for module, tensors in sorted(_by_module(stored, folder).items()):
        target, change = _change(module, tensors, config, named, files, folder)
        if tied and target.split(".")[-2] in ("lm_head", "embed_tokens"):
            raise AdapterError(
                f"The adapter {folder} changes {module}, but head and embedding of this model are one matrix. Leave "
                "both out of the adapter's target_modules, or save the merged checkpoint with untied matrices."
            )
        changes.setdefault(target, []).append(change)
    told = {name: value for name, value in config.items() if name not in ("r", "rank_pattern")}  # as the weights say
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(weights_fingerprint(stored).encode())
    return {name: ChangedFile(file, changes) for name, file in files.items()}, digest.hexdigest()


def places(layout: Layout) -> dict[str, tuple[str, int, int]]:
    """Where a parameter is stored: by stored name and by module name, (stored name, first row, rows)."""
    found: dict[str, tuple[str, int, int]] = {}
    for name, shape in layout.shapes().items():
        if not name.endswith(("weight", "bias")):
            continue  # queries and position tables: nothing that an adapter can be put on
        begin = 0
        for target, piece in layout.unpack(name, torch.empty(shape, device="meta")):
            found[target] = (name, begin, piece.shape[0])
            begin += piece.shape[0]
        found[name] = (name, 0, shape[0])
    return found


def _change(
    module: str,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    named: Mapping[str, tuple[str, int, int]],
    files: Mapping[str, TensorFile],
    folder: Path,
) -> tuple[str, Change]:
    """The stored tensor that one module's tensors change, and how."""
    parameter = module if "whole" in tensors else f"{module}.weight"
    if parameter not in named or named[parameter][0] not in files:
        raise AdapterError(
            f"The adapter {folder} changes {module}, which this model does not have. It was trained on another model; "
            f"its {CONFIG} names the base model {config.get('base_model_name_or_path')!r}."
        )
    target, begin, rows = named[parameter]
    shape = (rows, *files[target].shapes[target][1:])
    if "whole" in tensors:
        change, given = Change(begin, rows, whole=tensors["whole"]), tuple(tensors["whole"].shape)
    else:
        if set(tensors) != {"A", "B"} or any(tensor.dim() != 2 for tensor in tensors.values()):
            raise AdapterError(f"The adapter {folder} has no pair of matrices lora_A and lora_B for {module}.")
        down, up = tensors["A"], tensors["B"]
        rank = _said(config, "rank_pattern", "r", module)
        if down.shape[0] != up.shape[1] or rank not in (None, down.shape[0]):
            raise AdapterError(
                f"The adapter {folder} has matrices of rank {down.shape[0]} and {up.shape[1]} for {module}, and its "
                f"{CONFIG} says {rank}. They are of different adapters; copy both from the same one."
            )
        transposed = module.rpartition(".")[2] == "embed_tokens"
        change = Change(begin, rows, down, up, _scale(module, down.shape[0], config), transposed=transposed)
        given = (down.shape[1], up.shape[0]) if transposed else (up.shape[0], down.shape[1])
    if given != shape:
        raise AdapterError(
            f"The adapter {folder} changes {module} by a matrix of shape {list(given)}; this model's has "
            f"{list(shape)}. It was trained on a model of another size."
        )
    return target, change


def _said(config: Mapping[str, Any], pattern: str, usual: str, module: str) -> Any:
    """What a configuration says of one module: by the first pattern that fits its name, else of all."""
    fitting = (value for name, value in config[pattern].items() if re.fullmatch(rf"(.*\.)?({name})", module))
    return next(fitting, config[usual])


def _scale(module: str, rank: int, config: Mapping[str, Any]) -> float:
    alpha = _said(config, "alpha_pattern", "lora_alpha", module)
    return float(alpha) / (math.sqrt(rank) if config["use_rslora"] else rank)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        kind = raw["peft_type"]
    except FileNotFoundError as error:
        raise AdapterError(f"{path} does not exist; expected a folder that PEFT's save_pretrained wrote.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{path} is not an adapter's configuration ({type(error).__name__}: {error}).") from error
    unsupported = [name for name in ("use_dora", "fan_in_fan_out", "use_qalora") if raw.get(name)]
    if kind != "LORA" or unsupported:
        what = f"{kind} adapter" + (f" with {', '.join(unsupported)}" if unsupported else "")
        raise AdapterError(
            f"{path} describes a {what}; only plain LoRA can be merged at load. Merge it with PEFT "
            "(merge_and_unload), save the whole checkpoint, and give that."
        )
    kept = {"lora_alpha": raw.get("lora_alpha", 8), "use_rslora": bool(raw.get("use_rslora"))}
    kept |= {"alpha_pattern": raw.get("alpha_pattern") or {}}
    kept |= {"r": raw.get("r"), "rank_pattern": raw.get("rank_pattern") or {}}
    for alpha in (kept["lora_alpha"], *kept["alpha_pattern"].values()):
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise AdapterError(f"{path}: lora_alpha is {alpha!r}, expected a number. Copy the file again.")
    return kept | {"base_model_name_or_path": raw.get("base_model_name_or_path")}


def open_lora(folder: Path) -> dict[str, TensorFile]:
    """The adapter's file for each of its tensors. Raises :class:`AdapterError` where it holds none."""
    if (folder / WEIGHTS).is_file():
        file: TensorFile = SafetensorsFile(folder / WEIGHTS)
    elif (folder / OLD_WEIGHTS).is_file():
        file = TorchFile(folder / OLD_WEIGHTS)
    else:
        raise AdapterError(f"{folder} holds no {WEIGHTS}; copy the adapter completely.")
    return dict.fromkeys(file.shapes, file)


def _by_module(stored: Mapping[str, TensorFile], folder: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors by module: ``A`` and ``B`` of a pair, or ``whole`` under the parameter's own name."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, file in stored.items():
        if "lora_magnitude_vector" in name:
            raise AdapterError(f"{folder} holds a DoRA adapter; only plain LoRA can be merged at load.")
        short, tensor = name.removeprefix(_PREFIX), file.read(name)
        match = _PAIR.fullmatch(short)
        if match:
            modules.setdefault(match["module"], {})[match["side"]] = tensor
        else:
            modules[_SAVED.sub("", short).replace(".base_layer.", ".")] = {"whole": tensor}
    return modules
