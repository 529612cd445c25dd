"""From the options of a request to the rules of its sequences.

Grammars are compiled here, on the pool of preparing threads, by llguidance: a grammar that it cannot compile is refused
before anything is queued. The table of the vocabulary that it needs takes up to a second and is made at the first
grammar.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher, LLTokenizer

from modelservice_runtime.engine.rules import Bias, GrammarRule, Penalties, RuleChain
from modelservice_runtime.engine.sampling import LogitRules
from modelservice_runtime.tasks.inputs import GenerationOptions, Grammar, InvalidInput

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

LONGEST_GRAMMAR = 65_536
COMPACT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""JSON without room for endless white space, in which small models lose themselves."""

SOURCES: Mapping[str, Callable[[str], str]] = {
    "json_schema": partial(LLMatcher.grammar_from_json_schema, defaults=COMPACT),
    "regex": LLMatcher.grammar_from_regex,
    "lark": LLMatcher.grammar_from_lark,
}


class Steering:
    """Makes rules for one model. `tokenizer` is a transformers tokenizer; any thread."""

    def __init__(self, tokenizer: Any, vocabulary: int, end_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._end_ids = end_ids
        self._lock = threading.Lock()
        self._table: LLTokenizer | None = None

    def rules(self, options: GenerationOptions, prompt_length: int, own: LogitRules | None = None) -> list[Any]:
        """Return the rules of each of the request's `n` answers, after the model's `own`; None where there are none.

        Raises InvalidInput when a token does not exist or a grammar cannot be followed.
        """
        wrong = [token for token, _ in options.logit_bias if token >= self._vocabulary]
        if wrong:
            raise InvalidInput("logit_bias", f"token ids must be below {self._vocabulary}, the size of the vocabulary")
        matcher = self._compile(options.grammar) if options.grammar else None
        chains = []
        for _ in range(options.n):
            rules: list[LogitRules] = [own] if own else []
            if options.repetition_penalty != 1.0 or options.presence_penalty or options.frequency_penalty:
                penalties = options.presence_penalty, options.frequency_penalty, options.repetition_penalty
                rules.append(Penalties(prompt_length, *penalties))
            if options.logit_bias:
                rules.append(Bias(dict(options.logit_bias)))
            if matcher is not None:
                rules.append(GrammarRule(matcher.deep_copy(), prompt_length, self._end_ids))
            chains.append(RuleChain(rules) if rules else None)
        return chains

    def _compile(self, grammar: Grammar) -> LLMatcher:
        if len(grammar.source) > LONGEST_GRAMMAR:
            raise InvalidInput(grammar.field, f"a grammar may have {LONGEST_GRAMMAR} characters")
        try:
            matcher = LLMatcher(self._vocabulary_table(grammar), SOURCES[grammar.kind](grammar.source), log_level=0)
        except (ValueError, TypeError) as error:
            raise _refusal(grammar, str(error)) from None
        if matcher.is_error():
            raise _refusal(grammar, matcher.get_error())
        return matcher

    def _vocabulary_table(self, grammar: Grammar) -> LLTokenizer:
        if not getattr(self._tokenizer, "is_fast", False) or not self._end_ids:
            raise InvalidInput(grammar.field, "this model's tokenizer cannot follow a grammar; leave it out")
        with self._lock:
            if self._table is None:
                known = len(self._tokenizer)
                size = self._vocabulary if self._vocabulary >= known else None
                text = self._tokenizer.backend_tokenizer.to_str()
                self._table = LLTokenizer(text, n_vocab=size, eos_token=sorted(self._end_ids))
            return self._table


def _refusal(grammar: Grammar, words: str) -> InvalidInput:
    line = (words.strip().splitlines() or ["unknown error"])[0][:300]
    return InvalidInput(grammar.field, f"the {grammar.kind.replace('_', ' ')} cannot be followed: {line}")
