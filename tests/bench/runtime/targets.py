"""What the benchmark has to show. A target that no area measured is reported as not measured."""

import operator
from dataclasses import dataclass

COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the ratio ours / peer (with `inverse`: peer / ours), or, without a peer, on our own figure."""

    key: str
    area: str
    title: str
    bound: str
    limit: float
    unit: str = ""
    inverse: bool = False
    absolute: bool = False

    @property
    def text(self) -> str:
        """The bound as people write it."""
        return f"{self.bound} {self.limit:g}" + (f" {self.unit}" if self.absolute and self.unit else "")

    def met_by(self, value: float) -> bool:
        """Tell whether the bound holds."""
        return bool(COMPARE[self.bound](value, self.limit))


def _absolute(key: str, area: str, title: str, limit: float, unit: str, bound: str = "<=") -> Target:
    return Target(key, area, title, bound, limit, unit, absolute=True)


TOKENS, ANSWERS = "tokens/s", "answers/s"

TARGETS = {
    target.key: target
    for target in (
        Target("generation-32", "generation", "generation, 32 clients, vs transformers serve", ">=", 1.6, TOKENS),
        Target("generation-32-raw", "generation", "generation, 32 clients, vs raw packed loop", ">=", 0.65, TOKENS),
        Target("generation-8", "generation", "generation, 8 clients, vs transformers serve", ">=", 1.6, TOKENS),
        Target("generation-1", "generation", "generation, 1 client, vs transformers serve", ">=", 1.4, TOKENS),
        Target("first-token-32", "generation", "first token, 32 clients, vs transformers serve", "<=", 0.5, "s"),
        Target("mixed-gaps", "mixed", "mixed lengths and 512-token prompts: inter-token p99 vs p50", "<=", 3, "s"),
        Target("mixed-throughput", "mixed", "mixed lengths: throughput vs that of uniform load", ">=", 0.8, TOKENS),
        Target(
            "prefix", "prefix", "shared 400-token system prompt: first token without vs with reuse", ">=", 3, "s",
            inverse=True,
        ),
        Target("encoder-32", "encoders", "encoder, 32 clients, vs the best peer", ">=", 1.15, ANSWERS),
        Target("encoder-32-raw", "encoders", "encoder, 32 clients, vs raw static batches", ">=", 0.9, ANSWERS),
        Target("encoder-1", "encoders", "encoder, 1 client, vs the best peer", ">=", 1.5, ANSWERS),
        _absolute("encoder-added", "encoders", "encoder, 1 client: latency added to the raw forward", 3, "ms"),
        _absolute("padding", "lengths", "encoder, 8 to 256 tokens: padded share of the batches", 0.15, ""),
        Target("lengths-fifo", "lengths", "encoder, 8 to 256 tokens, vs batches by arrival", ">=", 1.5, ANSWERS),
        Target("int8-encoder", "int8", "encoder in int8, 32 clients, vs the best float32 peer", ">=", 2, ANSWERS),
        _absolute("int8-labels", "int8", "encoder in int8: share of labels that agree with float32", 0.99, "", ">="),
        Target("int8-generation", "int8", "generation in int8, 8 clients, vs our own bfloat16", ">=", 1.2, TOKENS),
        Target("speech", "speech", "Whisper, 8 clients, vs the best peer", ">=", 1.3, ANSWERS),
        Target("image", "images", "image classification, 16 clients, vs LitServe", ">=", 1.3, ANSWERS),
        Target("pictures", "pictures", "pictures drawn, 4 clients, vs a raw loop of diffusers", ">=", 1, ANSWERS),
        Target("goodput", "overload", "overload at 3x capacity: goodput vs capacity", ">=", 0.9, ANSWERS),
        _absolute("refusals", "overload", "overload at 3x capacity: time to a refusal, p99", 10, "ms"),
        _absolute("growth", "overload", "overload at 3x capacity: growth of memory", 0.05, ""),
        _absolute("probes", "probes", "probes under full load, p99", 50, "ms"),
        _absolute("probe-failures", "probes", "probes under full load that failed", 0, ""),
        _absolute("cancel", "cancel", "time from the last client's leaving to an idle CPU, beyond one step", 50, "ms"),
        _absolute("http-up", "start", "cold start: until HTTP answers", 1, "s"),
        _absolute("ready", "start", "cold start: until ready", 6, "s"),
        Target("ready-peer", "start", "cold start: until the first answer, vs transformers serve", "<", 1, "s"),
        _absolute("memory", "memory", "memory beyond weights and KV cache", 600, "MB"),
        _absolute("agreement", "agreement", "float32 greedy output identical to generate", 1, "", ">="),
        _absolute("agreement-half", "agreement", "bfloat16 greedy output identical or rounded apart", 1, "", ">="),
    )
}  # fmt: skip
