"""A small tokenizer in a folder as Hugging Face's libraries read it: trained on this Python's own sources, without a network."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 2048
CONTEXT_TOKENS = 131_072
SPECIAL = ("<s>", "</s>", "<pad>")
_SOURCES = 40
_CHAT_TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def write_tokenizer(folder: Path) -> Path:
    """Write it, with the least of a model's configuration that tools ask for; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _trained().save(str(folder / "tokenizer.json"))
    names = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[2]}
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "model_max_length": CONTEXT_TOKENS,
        "clean_up_tokenization_spaces": False,
        "chat_template": _CHAT_TEMPLATE,
    }
    model = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT_TOKENS,
    }
    for name, content in (("tokenizer_config.json", tokenizer), ("config.json", model)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def _trained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:_SOURCES]
    tokenizer.train([str(source) for source in sources], trainer)
    return tokenizer
