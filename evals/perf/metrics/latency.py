"""How long requests wait, and how many go through."""

from __future__ import annotations

from evals.perf.metrics.base import NS_PER_MS, Metric, NoValue, Seen, answered, with_tokens


class Load(Metric):
    tag, title, unit = "load_s", "Load time", "s"
    formula = "adapter built − adapter asked for; libraries are imported in it"
    reads = ("load_ns",)
    scope = "process"

    def values(self, seen: Seen) -> tuple[float, ...]:
        if seen.process.load_ns is None:
            raise NoValue("loading was not timed")
        return (seen.process.load_ns / 1e9,)


class ColdStart(Metric):
    tag, title, unit = "cold_start_ms", "Cold start", "ms"
    formula = "end to end of the very first request after loading"
    reads = ("cold_ns",)
    scope = "process"

    def values(self, seen: Seen) -> tuple[float, ...]:
        if seen.process.cold_ns is None:
            raise NoValue("no first request was answered")
        return (seen.process.cold_ns / NS_PER_MS,)


class Ttft(Metric):
    tag, title, unit = "ttft_ms", "Time to first token", "ms"
    formula = "first token on the host − request submitted; of an adapter that tells no tokens, what it says itself"
    reads = ("latency.requests.submit_ns", "latency.requests.token_ns", "latency.requests.told_ttft_ms")
    per_request = True

    def values(self, seen: Seen) -> tuple[float, ...]:
        if told := _told(seen, "told_ttft_ms"):
            return told
        return tuple((r.token_ns[0] - r.submit_ns) / NS_PER_MS for r in with_tokens(seen, 1))


class Tpot(Metric):
    tag, title, unit = "tpot_ms", "Time per output token", "ms"
    formula = "(last token − first token) / (tokens − 1), from 2 tokens on; or what the adapter says itself"
    reads = ("latency.requests.token_ns", "latency.requests.told_tpot_ms")
    per_request = True

    def values(self, seen: Seen) -> tuple[float, ...]:
        if told := _told(seen, "told_tpot_ms"):
            return told
        requests = with_tokens(seen, 2)
        return tuple((r.token_ns[-1] - r.token_ns[0]) / (len(r.token_ns) - 1) / NS_PER_MS for r in requests)


def _told(seen: Seen, name: str) -> tuple[float, ...]:
    """What an adapter says that tells no tokens; nothing where tokens are known, or it says nothing."""
    requests = answered(seen.latency())
    if any(request.token_ns for request in requests) or seen.has_beams:
        return ()
    return tuple(value for request in requests if (value := getattr(request, name)) is not None)


class InterToken(Metric):
    tag, title, unit = "itl_ms", "Gap between tokens", "ms"
    formula = "each token − the one before, gaps of all requests pooled"
    reads = ("latency.requests.token_ns",)
    per_request = True

    def values(self, seen: Seen) -> tuple[float, ...]:
        return tuple(
            (later - earlier) / NS_PER_MS
            for request in with_tokens(seen, 2)
            for earlier, later in zip(request.token_ns, request.token_ns[1:], strict=False)
        )


class EndToEnd(Metric):
    tag, title, unit = "e2e_ms", "End to end", "ms"
    formula = "answer's text there − request submitted (encoded image and question)"
    reads = ("latency.requests.submit_ns", "latency.requests.done_ns")
    per_request = True

    def values(self, seen: Seen) -> tuple[float, ...]:
        return tuple((r.done_ns - r.submit_ns) / NS_PER_MS for r in answered(seen.latency()))


class _Rate(Metric):
    """Something counted, by the length of the pass."""

    better = "higher"

    def values(self, seen: Seen) -> tuple[float, ...]:
        window = seen.throughput()
        amount = self.amount(seen)
        if window.seconds <= 0:
            raise NoValue("the pass has no length")
        return (amount / window.seconds,)

    def amount(self, seen: Seen) -> float:
        """What went through in the pass."""
        raise NotImplementedError


class Samples(_Rate):
    tag, title, unit = "samples_per_s", "Samples", "1/s"
    formula = "samples with all their requests answered / length of the pass"
    reads = ("throughput.requests.sample_id",)

    def amount(self, seen: Seen) -> float:
        requests = seen.throughput().requests
        broken = {r.sample_id for r in requests if r.failure}
        whole = {r.sample_id for r in requests} - broken
        if not whole:
            raise NoValue("no sample was answered whole")
        return len(whole)


class Requests(_Rate):
    tag, title, unit = "requests_per_s", "Requests", "1/s"
    formula = "answered requests / length of the pass"
    reads = ("throughput.requests",)

    def amount(self, seen: Seen) -> float:
        return len(answered(seen.throughput()))


class Tokens(_Rate):
    tag, title, unit = "tokens_per_s", "Output tokens", "1/s"
    formula = "generated tokens of answered requests / length of the pass"
    reads = ("throughput.requests.new_tokens",)

    def amount(self, seen: Seen) -> float:
        if seen.case.case.protocol == "likelihood":
            raise NoValue("choices are scored by likelihood: no token is generated")
        counts = [r.new_tokens for r in answered(seen.throughput())]
        if any(count is None for count in counts):
            raise NoValue("the adapter does not tell how many tokens it generated")
        return sum(count or 0 for count in counts)


class Images(_Rate):
    tag, title, unit = "images_per_s", "Images", "1/s"
    formula = "images of answered requests, each use counted / length of the pass"
    reads = ("throughput.requests.images",)

    def amount(self, seen: Seen) -> float:
        images = sum(r.images for r in answered(seen.throughput()))
        if not images:
            raise NoValue("the requests have no images")
        return images
