"""Small OmniLMM checkpoints with random weights, in the original layout, made once a session."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
from PIL import Image

from model_adapters.omnilmm.checkpoint import save_checkpoint
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, VisionConfig

PIECES = ["\n", "\t", "<image>", "</image>", "<box>", "</box>", "...", "<td>", "。。。"]
SENTENCES = [
    "What is in the image? Is there a red circle?",
    "Answer with the option's letter. A. red B. blue C. green D. yellow",
    "yes no two three red blue circle square triangle",
    "图片里有什么?请回答。 红色的圆 蓝色的方块",
    "<用户>Which color is it?<AI>It is red.",
] * 4
LANGUAGE = LanguageConfig(
    vocab_size=420,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    dim_model_base=32,
)
CONFIG = OmniLMMConfig(
    language=LANGUAGE,
    vision=VisionConfig(48, 3, 3, 64, 8, 40),  # table of 5 x 5, run on 8 x 8: must be resampled
    image_size=64,
    query_num=9,
    resampler_num_heads=4,
)


def train_tokenizer(vocab_size: int = 400) -> bytes:
    """A SentencePiece model of MiniCPM's kind."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        user_defined_symbols=PIECES,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Models this small are slower on several threads, and much slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer_model() -> bytes:
    return train_tokenizer()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer_model: bytes) -> Path:
    """An image model; its stored position table is for another grid than the one that runs."""
    import torch
    from safetensors.torch import load_file, save_file

    from model_adapters.omnilmm.modeling import OmniLMM

    folder = tmp_path_factory.mktemp("tiny")
    save_checkpoint(OmniLMM.from_config(CONFIG, seed=1), folder, CONFIG, tokenizer_model=tokenizer_model)
    weights = load_file(folder / "model.safetensors")
    table = torch.randn(1, 25, 48, generator=torch.Generator().manual_seed(2)) * 0.1
    weights["vpm.pos_embed"] = table.to(torch.bfloat16)
    save_file(weights, folder / "model.safetensors")
    config = (folder / "config.json").read_text().replace('"image_size": 64\n', '"image_size": 40\n')
    (folder / "config.json").write_text(config)
    assert OmniLMMConfig.from_json(folder) == CONFIG
    return folder


@pytest.fixture(scope="session")
def tiny_text_checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer_model: bytes) -> Path:
    """A text model with tied embeddings."""
    from dataclasses import replace

    from model_adapters.omnilmm.language import MiniCPMDecoder
    from model_adapters.omnilmm.modeling import initialise

    folder, config = tmp_path_factory.mktemp("tiny_text"), replace(LANGUAGE, tie_word_embeddings=True)
    llm = MiniCPMDecoder(config)
    initialise(llm, seed=3)
    return save_checkpoint(llm, folder, config, tokenizer_model=tokenizer_model)


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four pictures that differ in size, mode and content."""
    import numpy as np

    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (50, 80, 3), dtype=np.uint8))
    return [
        Image.new("RGB", (64, 64), (200, 30, 30)),
        noise,
        Image.new("L", (20, 90), 120),
        noise.resize((31, 17)).convert("P"),
    ]
