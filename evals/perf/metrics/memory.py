"""Memory, in MiB of 2**20 bytes."""

from __future__ import annotations

from evals.perf.metrics.base import Metric, NoValue, Seen, no_gpu


class Weights(Metric):
    tag, title, unit = "weights_mib", "Weights", "MiB"
    formula = "bytes of all parameters, a shared one once"
    reads = ("memory_mib.weights",)
    scope = "process"

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (_known(seen, "weights"),)


class KvPerToken(Metric):
    tag, title, unit = "kv_bytes_per_token", "Keys and values per token", "B"
    formula = "2 · layers · key/value heads · head width · bytes of the dtype"
    reads = ("work.kv_bytes_per_token",)
    scope = "process"

    def values(self, seen: Seen) -> tuple[float, ...]:
        if seen.process.work is None:
            raise NoValue("the adapter does not tell its sizes")
        return (seen.process.work.kv_bytes_per_token,)


class PeakAllocated(Metric):
    tag, title, unit = "peak_allocated_mib", "Peak allocated", "MiB"
    formula = "the allocator's peak of tensors, reset after warm-up"
    reads = ("memory_mib.peak_allocated",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        no_gpu(seen)
        return (_known(seen, "peak_allocated"),)


class PeakReserved(Metric):
    tag, title, unit = "peak_reserved_mib", "Peak reserved", "MiB"
    formula = "the allocator's peak of memory taken from the device, reset after warm-up"
    reads = ("memory_mib.peak_reserved",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        no_gpu(seen)
        return (_known(seen, "peak_reserved"),)


class ProcessMemory(Metric):
    tag, title, unit = "process_mib", "Process, on the device", "MiB"
    formula = "NVML's count for this process, context and libraries included"
    reads = ("process_mib",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        no_gpu(seen)
        if seen.case.process_mib is None:
            raise NoValue(seen.case.memory_reasons.get("process") or seen.case.skipped or "NVML was not asked")
        return (seen.case.process_mib,)


class DeviceMemory(Metric):
    tag, title, unit = "device_mib", "Device in use", "MiB"
    formula = "NVML's count for the whole device, other processes included"
    reads = ("device_mib",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        no_gpu(seen)
        if seen.case.device_mib is None:
            raise NoValue(seen.case.memory_reasons.get("device") or seen.case.skipped or "NVML was not asked")
        return (seen.case.device_mib,)


class PeakHost(Metric):
    tag, title, unit = "peak_host_mib", "Peak resident, host", "MiB"
    formula = "getrusage's peak of the process so far: cases run in order of batch size"
    reads = ("peak_host_mib",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        if seen.case.peak_host_mib is None:
            raise NoValue(seen.case.skipped or "it was not measured")
        return (seen.case.peak_host_mib,)


def _known(seen: Seen, key: str) -> float:
    value = seen.case.memory_mib.get(key)
    if value is None:
        raise NoValue(seen.case.skipped or "the adapter does not tell")
    return value
