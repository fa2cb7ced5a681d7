"""The tokenizer: SentencePiece's ids and texts on any input, and texts that cannot turn into control tokens."""

import random
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.prompt import PromptBuilder, conversation_text
from model_adapters.omnilmm.sentencepiece_model import PieceType
from model_adapters.omnilmm.tokenizer import OmniTokenizer, load_tokenizer

BITS = [
    "...",
    "<td>",
    "。。。",
    "\n",
    " ",
    "  ",
    "red",
    "图片",
    "a",
    "12",
    "<",
    ">",
    "\u200d",
    "é",
    "😀",
    "<box>",
    "\r\n",
]


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> OmniTokenizer:
    return load_tokenizer(tiny_checkpoint)


@pytest.fixture(scope="module")
def oracle(tiny_checkpoint: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(tiny_checkpoint / "tokenizer.model"))


def test_any_text_gets_sentencepiece_ids_and_comes_back(
    tokenizer: OmniTokenizer, oracle: sentencepiece.SentencePieceProcessor
) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from(BITS) | st.text(max_size=3), max_size=12).map("".join))
    def check(text: str) -> None:
        text = text.replace("\0", "").replace("▁", "_")
        if "<image>" in text or "</image>" in text:
            return
        ids = tokenizer.encode_text(text)
        assert ids == oracle.encode(text)
        assert tokenizer.decode(ids) == text

    check()


def test_any_ids_get_sentencepiece_text(tokenizer: OmniTokenizer, oracle: sentencepiece.SentencePieceProcessor) -> None:
    """Bytes that are no UTF-8 included, one replacement character each."""
    draw = random.Random(0)
    first_byte = tokenizer.encode_text("\0")[0]
    assert tokenizer.model.pieces[first_byte].type is PieceType.BYTE
    for _ in range(500):
        ids = [
            draw.choice([draw.randrange(3, tokenizer.vocab_size), first_byte + draw.randrange(256)]) for _ in range(9)
        ]
        assert tokenizer.decode(ids) == oracle.decode(ids)


def test_released_vocabulary_agrees_with_sentencepiece_on_its_own_pieces(shared: Path) -> None:
    """Emoji sequences among them, whose joiners are no pieces themselves."""
    folder = shared / "reference" / "omnilmm-3b"
    tokenizer = load_tokenizer(folder)
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    texts = [piece.text.replace("▁", " ") for piece in tokenizer.model.pieces if piece.type is PieceType.NORMAL]
    draw = random.Random(1)
    texts = ["".join(draw.choices(texts, k=4)) for _ in range(500)] + [text for text in texts if "\u200d" in text]
    assert tokenizer.encode_texts(texts) == oracle.encode(texts)


@pytest.mark.parametrize("mark", ["<image>", "</image>", "<unk>", "<s>", "</s>"])
def test_control_tokens_in_a_text_are_spelt_out(tokenizer: OmniTokenizer, mark: str) -> None:
    control = {0, 1, 2, tokenizer.image_start_id, tokenizer.image_end_id}
    ids = tokenizer.encode_text(f"a {mark} b")
    assert not control & set(ids)
    assert tokenizer.decode(ids) == f"a {mark} b"


def test_original_behaviour_can_be_switched_on(tokenizer: OmniTokenizer) -> None:
    ids = tokenizer.encode_text("<s><image><unk></image></s>", parse_special=True)
    assert ids == [1, tokenizer.image_start_id, 0, tokenizer.image_end_id, 2]


def test_answer_text_drops_filler_ends_and_outer_space(tokenizer: OmniTokenizer) -> None:
    inner = tokenizer.encode_text(" It is red.\n")
    assert tokenizer.decode_answer([1, 0, *inner, 2]) == "It is red."
    assert tokenizer.decode_answer([]) == ""
    assert tokenizer.decode([10_000]) == ""


def test_prompt_has_the_image_in_the_first_user_turn_only(tokenizer: OmniTokenizer) -> None:
    builder = PromptBuilder(tokenizer, query_num=4)
    turns = [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "Sure?"},
    ]
    prompt = builder.build(turns, with_image=True)
    opening = [1, *tokenizer.encode_text("<用户>"), tokenizer.image_start_id]
    rest = tokenizer.encode_text("\nWhat?<AI>red<用户>Sure?<AI>")
    assert list(prompt.ids) == [*opening, 0, 0, 0, 0, tokenizer.image_end_id, *rest]
    assert prompt.image_slot == len(opening)
    assert builder.build(turns, with_image=False).image_slot is None


def test_turn_marks_are_tokenised_with_their_neighbours(tokenizer: OmniTokenizer) -> None:
    prompt = PromptBuilder(tokenizer, query_num=0).build([{"role": "user", "content": "a <"}], with_image=False)
    assert list(prompt.ids) == [1, *tokenizer.encode_text("<用户>a <<AI>")]


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([], "begin and end with a user turn"),
        ([{"role": "assistant", "content": "x"}], "begin and end with a user turn"),
        ([{"role": "system", "content": "x"}, {"role": "user", "content": "y"}], "no system prompt"),
    ],
)
def test_conversations_that_the_format_cannot_hold_are_refused(turns: list[dict[str, str]], says: str) -> None:
    with pytest.raises(AdapterError) as caught:
        conversation_text(turns)
    assert says in " ".join(str(caught.value).split())


def test_text_vocabulary_cannot_show_images(tmp_path: Path, tokenizer_model: bytes) -> None:
    file = tmp_path / "tokenizer.model"
    file.write_bytes(tokenizer_model.replace(b"<image>", b"<imaqe>"))
    with pytest.raises(AdapterError, match="no pieces <image>"):
        PromptBuilder(load_tokenizer(file), query_num=4)


@pytest.mark.parametrize("damage", [b"version https://git-lfs", b"", b"\x0a\xff\xff\xff"])
def test_damaged_tokenizer_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(damage)
    with pytest.raises(AdapterError, match=r"tokenizer\.model"):
        load_tokenizer(tmp_path)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no readable tokenizer"):
        load_tokenizer(tmp_path)


def test_truncated_tokenizer_is_refused(tmp_path: Path, tokenizer_model: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model[:-50])
    with pytest.raises(AdapterError, match=r"not a SentencePiece model|lacks"):
        load_tokenizer(tmp_path)


def test_other_kinds_of_sentencepiece_models_are_refused(tmp_path: Path) -> None:
    prefix = str(tmp_path / "tokenizer")
    sentences = ["Is there a red circle?", "It is blue and green."] * 9
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=prefix, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    with pytest.raises(AdapterError, match="lacks a BPE model, byte fallback"):
        load_tokenizer(tmp_path)
