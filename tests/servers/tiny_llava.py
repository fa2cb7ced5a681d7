"""A LLaVA of a few thousand random weights, with its processor, as a folder that transformers loads."""

from __future__ import annotations

from pathlib import Path

WORDS = ("what", "colour", "is", "it", "red", "green", "blue", "yes", "no", "of", "one", "two", "three", "circle", "?")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_tiny_llava(folder: Path) -> None:
    """Write the model and its processor."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    vocabulary = {
        word: i for i, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", "<image>", *WORDS, "user", "assistant", ":"])
    }
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    core.add_special_tokens(["<unk>", "<s>", "</s>", "<pad>", "<image>"])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, padding_side="left", **special)
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = LlamaConfig(vocab_size=len(vocabulary), bos_token_id=1, eos_token_id=2, pad_token_id=3, **small)
    vision = CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=32, **small)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"])
    torch.manual_seed(5)
    model = LlavaForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    model.generation_config.update(eos_token_id=2, pad_token_id=3, bos_token_id=1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
