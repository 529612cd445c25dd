"""What a request may not ask for when transformers batches: refused by name, since it would be passed over there."""

from modelservice_runtime.tasks.inputs import GenerationOptions, InvalidInput


def refuse_special(options: GenerationOptions) -> None:
    """Raise InvalidInput with the first option that transformers' continuous batching has no place for."""
    asked = {
        "seed": options.seed is not None and options.temperature > 0,
        "logprobs": options.logprobs is not None,
        "logit_bias": bool(options.logit_bias),
        "presence_penalty": options.presence_penalty != 0.0,
        "frequency_penalty": options.frequency_penalty != 0.0,
        "repetition_penalty": options.repetition_penalty != 1.0,
        options.grammar.field if options.grammar else "grammar": options.grammar is not None,
    }
    for field, is_asked in asked.items():
        if is_asked:
            raise InvalidInput(
                field, "this server batches by transformers (engine.backend), which cannot do this; leave it out"
            )
