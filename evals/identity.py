"""What makes two results comparable: the parts of a run that decide its numbers, each with a hash or a value.

task        name, version, preset, protocol, image policy
data        hash over the content hashes of all samples, in order, and the subset taken
prompt      hash of the prompt's parts
generation  the decoding settings
scorer      metrics with versions and options, and the extractor
model       the adapter's identity
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from evals.extract import extractor_version
from evals.files import sha256_json
from evals.metrics.registry import get_metric
from evals.records import Question
from evals.spec.records import TaskSpec

LIBRARIES = ("omnilmm-eval", "torch", "transformers", "tokenizers", "safetensors", "pillow", "numpy")


def task_identity(spec: TaskSpec, preset: str, samples: str, subset: str | None) -> dict[str, Any]:
    """The identity of one task in a run.

    Args:
        samples: fingerprint of the sample set, as :func:`samples_hash` makes it.
        subset: the part that was taken, in words; None for the whole set.
    """
    return {
        "task": {
            "version": spec.version,
            "preset": preset,
            "protocol": spec.protocol,
            "image": spec.image,
        },
        "data": {"samples": samples, "subset": subset},
        "prompt": sha256_json(asdict(spec.prompt)),
        "generation": asdict(spec.generation) | {"stop": list(spec.generation.stop)},
        "scorer": scorer_identity(spec),
    }


def samples_hash(questions: Iterable[Question]) -> str:
    """Fingerprint of a sample set: ids, fields, references and picture bytes of every sample, in order."""
    digest, last = hashlib.sha256(), ""
    for question in questions:
        if question.sample_id != last:
            digest.update(bytes.fromhex(question.content_hash))
            last = question.sample_id
    return digest.hexdigest()


def scorer_identity(spec: TaskSpec) -> dict[str, Any]:
    """Metrics with versions and options, and the extractor with the version of its rules where they changed."""
    metrics = [
        {"name": use.name, "version": get_metric(use.name, **use.options).version, "options": dict(use.options)}
        for use in spec.metrics
    ]
    version = extractor_version(spec.extractor)
    return {"metrics": metrics, "extractor": spec.extractor} | ({"extractor_version": version} if version > 1 else {})


def environment(device: Mapping[str, Any]) -> dict[str, Any]:
    """Hardware and library versions of this process.

    Args:
        device: what the adapter says of its device (``device``, ``device_name``), part of the hardware key.
    """
    hardware = {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=True),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "device": device.get("device"),
        "device_name": device.get("device_name"),
    }
    return {
        "hardware": hardware,
        "hardware_key": sha256_json(hardware)[:16],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a pseudo file, not a path of ours
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
