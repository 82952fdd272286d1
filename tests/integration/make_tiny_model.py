"""
Write a tiny Llama with random weights, and a tokenizer trained on this Python's own sources: a model for real servers in tests.

    python tests/integration/make_tiny_model.py DIRECTORY

It needs torch and transformers, so run it with the Python of a vLLM or transformers installation; it needs no network. The same
versions write the same files.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib import import_module  # what has no place where this is only type-checked
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 2048
CONTEXT_TOKENS = 2048
SPECIAL = ("<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def trained_tokenizer() -> Any:
    """A byte-level BPE tokenizer, trained on the standard library, in the form that transformers saves."""
    transformers = import_module("transformers")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:100]
    tokenizer.train([str(source) for source in sources], trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[2],
        model_max_length=CONTEXT_TOKENS,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def random_llama(tokenizer: Any) -> Any:
    """A Llama of 0.4 million parameters; two heads and two key-value heads, so that it can be split over two workers."""
    transformers = import_module("transformers")
    import_module("torch").manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,  # a random model would end an answer anywhere; this one has exactly the length asked for
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return transformers.LlamaForCausalLM(config)


def main() -> None:
    """Write the model where the first argument says."""
    if len(sys.argv) != 2:
        sys.exit("usage: make_tiny_model.py DIRECTORY")
    directory = Path(sys.argv[1])
    tokenizer = trained_tokenizer()
    tokenizer.save_pretrained(directory)
    random_llama(tokenizer).save_pretrained(directory)


if __name__ == "__main__":
    main()
