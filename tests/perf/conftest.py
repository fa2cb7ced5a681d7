"""An adapter of another package, found by its entry point as a user's own would be: it sleeps instead of computing."""

from __future__ import annotations

from pathlib import Path

import pytest

SLEEPY = '''
import time
from model_adapters.contract import Capabilities, ModelAdapter, Response, Timing, Usage
from model_adapters.probe import Probe, StageClock


class SleepyProbe(Probe):
    def __init__(self, adapter):
        self.adapter = adapter

    def listen(self, clock):
        self.adapter.clock = clock or StageClock()
        return True

    def fixed_length(self, on):
        return True


class SleepyAdapter(ModelAdapter):
    """60 ms to the first token and 30 ms a further one, times a factor."""

    capabilities = Capabilities(max_images=1, text_only=True, choice_scoring=False)

    def __init__(self, factor: float = 1.0, out_of_memory: bool = False, dies: bool = False):
        self.factor, self.clock = factor, StageClock()
        if out_of_memory:
            raise RuntimeError("CUDA out of memory. Tried to allocate 5.00 GiB")
        if dies:
            import os
            os._exit(9)

    def identity(self):
        return {"adapter": "sleepy", "adapter_version": "1", "model": "sleepy", "weights": None, "dtype": None,
                "device": "cpu", "parameters": None}

    def probe(self):
        return SleepyProbe(self)

    def generate(self, requests):
        for request in requests:
            times, tokens = [], request.generation.max_new_tokens
            for number in range(tokens):
                time.sleep((0.060 if number == 0 else 0.030) * self.factor)
                times.append(time.perf_counter())
            self.clock.tokens(request.request_id, times)
            yield Response(request.request_id, usage=Usage(20, 0, tokens), timing=Timing(batch_size=1))
'''


@pytest.fixture(scope="session")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be put on PYTHONPATH: the package and its metadata, as pip installs them."""
    folder = tmp_path_factory.mktemp("sleepy")
    (folder / "sleepy_adapter.py").write_text(SLEEPY)
    info = folder / "sleepy_adapter-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy-adapter\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[omnilmm_eval.adapters]\nsleepy = sleepy_adapter:SleepyAdapter\n")
    return folder
