"""Tiny models with random weights, their processors and chat templates, built from configs: nothing is downloaded.

Each builder writes a folder as ``save_pretrained`` would, with image processors of transformers' PIL backend. The sizes
are the smallest at which every part of the architecture still does something: two layers, several heads, pictures of
more than one patch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    GotOcr2ImageProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6ImageProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    SiglipImageProcessor,
)

SENTENCES = [
    "What is in the picture? Is it red?",
    "yes no two three",
    "图片里有什么?",
    "Answer A. B. C. neither of them",
] * 3
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}IMAGE{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROLES = ["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}


def make_tokenizer(folder: Path, named: dict[str, str], extra: list[str] | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 400 pieces and special tokens; ``named`` become attributes such as ``image_token``."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<unk>", *ROLES, *named.values(), *(extra or [])]
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(SENTENCES, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=named,
        additional_special_tokens=[*ROLES, *(extra or [])],
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def finish(
    folder: Path, model: Any, image_processor: Any, processor: dict[str, Any] | None, mark: str, chat: bool = True
) -> Path:
    """Write model, processors and template; the processor by hand, because its video part needs torchvision."""
    model.save_pretrained(folder)
    if image_processor is not None:
        image_processor.save_pretrained(folder)
    if processor is not None:
        (folder / "processor_config.json").write_text(json.dumps(processor))
    if chat:
        (folder / "chat_template.jinja").write_text(CHAT.replace("IMAGE", mark))
    return folder


def ends(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Token ids that every config names, and a vocabulary that holds them all."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def llava(folder: Path) -> Path:
    """CLIP and Llama: one token a patch."""
    tokenizer = make_tokenizer(folder, {"image_token": "<image>"})
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **VISION, "projection_dim": 16},
        text_config={"model_type": "llama", **TEXT, **ends(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = {
        "processor_class": "LlavaProcessor",
        "patch_size": 8,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return finish(folder, LlavaForConditionalGeneration(config), images, processor, "<image>")


def idefics3(folder: Path) -> Path:
    """What SmolVLM is, too: pictures in tiles, pixels shuffled into fewer tokens."""
    named = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    tokenizer = make_tokenizer(folder, {**named, "global_image_token": "<global-img>"}, tiles)
    config = Idefics3Config(
        vision_config=VISION,
        text_config={"model_type": "llama", **TEXT, **ends(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    images = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = {"processor_class": "Idefics3Processor", "image_seq_len": 4}
    return finish(folder, Idefics3ForConditionalGeneration(config), images, processor, "<image>")


def qwen2_vl(folder: Path) -> Path:
    """Any picture size, positions in three directions."""
    named = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = make_tokenizer(folder, named, ["<|vision_start|>", "<|vision_end|>"])
    id_of = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8},
        text_config={**TEXT, **ends(tokenizer), "rope_parameters": rope},
        image_token_id=id_of("<|image_pad|>"),
        video_token_id=id_of("<|video_pad|>"),
        vision_start_token_id=id_of("<|vision_start|>"),
        vision_end_token_id=id_of("<|vision_end|>"),
    )
    images = Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}, temporal_patch_size=2
    )
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    return finish(
        folder, Qwen2VLForConditionalGeneration(config), images, {"processor_class": "Qwen2VLProcessor"}, mark
    )


def internvl(folder: Path) -> Path:
    """Tiles of a fixed size, and a thumbnail."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = make_tokenizer(folder, named)
    config = InternVLConfig(
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={"model_type": "qwen2", **TEXT, **ends(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessor(size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=3)
    processor = {"processor_class": "InternVLProcessor", "image_seq_length": 4}
    return finish(folder, InternVLForConditionalGeneration(config), images, processor, "<IMG_CONTEXT>")


def gemma3(folder: Path) -> Path:
    """A picture's tokens see each other in both directions; every second layer has a sliding window."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = make_tokenizer(folder, named)
    id_of = tokenizer.convert_tokens_to_ids
    config = Gemma3Config(
        vision_config=VISION,
        text_config={
            **TEXT,
            **ends(tokenizer),
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 16,
            "tie_word_embeddings": False,
        },
        boi_token_index=id_of("<start_of_image>"),
        eoi_token_index=id_of("<end_of_image>"),
        image_token_index=id_of("<image_soft_token>"),
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
    )
    images = Gemma3ImageProcessor(size={"height": 32, "width": 32})
    processor = {"processor_class": "Gemma3Processor", "image_seq_length": 4}
    return finish(folder, Gemma3ForConditionalGeneration(config), images, processor, "<start_of_image>")


def minicpmv(folder: Path) -> Path:
    """MiniCPM-V 4.6: slices of any aspect, merged in windows inside the vision tower."""
    places = {"image": "image", "slice": "slice", "image_id": "image_id"}
    named = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    for name, tag in places.items():
        named |= {f"{name}_start_token": f"<{tag}>", f"{name}_end_token": f"</{tag}>"}
    tokenizer = make_tokenizer(folder, named)
    config = MiniCPMV4_6Config(
        vision_config={**VISION, "image_size": 64},
        text_config={"model_type": "qwen2", **TEXT, **ends(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        insert_layer_id=0,
        image_size=64,
    )
    images = MiniCPMV4_6ImageProcessor(scale_resolution=64, patch_size=8, max_slice_nums=3)
    processor = {"processor_class": "MiniCPMV4_6Processor"}
    return finish(folder, MiniCPMV4_6ForConditionalGeneration(config), images, processor, "<|image_pad|>")


def paligemma(folder: Path) -> Path:
    """No chat template; the whole prompt sees itself."""
    tokenizer = make_tokenizer(folder, {"image_token": "<image>"})
    config = PaliGemmaConfig(
        vision_config={**VISION, "projection_dim": 32},
        text_config={"model_type": "gemma", **TEXT, **ends(tokenizer), "head_dim": 8, "tie_word_embeddings": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
        tie_word_embeddings=False,
    )
    images = SiglipImageProcessor(size={"height": 32, "width": 32}, image_seq_length=16)
    processor = {"processor_class": "PaliGemmaProcessor"}
    return finish(folder, PaliGemmaForConditionalGeneration(config), images, processor, "", chat=False)


def qwen2(folder: Path) -> Path:
    """Text only."""
    tokenizer = make_tokenizer(folder, {})
    return finish(folder, Qwen2ForCausalLM(Qwen2Config(**TEXT, **ends(tokenizer))), None, None, "")


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "llava": llava,
    "idefics3": idefics3,
    "qwen2_vl": qwen2_vl,
    "internvl": internvl,
    "gemma3": gemma3,
    "minicpmv": minicpmv,
    "paligemma": paligemma,
    "qwen2": qwen2,
}


def build(kind: str, folder: Path) -> Path:
    """One tiny model, always with the same weights; torch's generator is left as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return BUILDERS[kind](folder)
