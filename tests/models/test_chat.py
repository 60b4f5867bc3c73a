"""Chats as token ids: where a prompt begins, where a turn ends, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from biddable.errors import InputError
from biddable.models.chat import PLAIN_TEMPLATE, ChatFormat
from biddable.models.seeds import row_seeds, sample_seed
from biddable.types import Chat, Message, user

WORDS = ("<bos>", "<eos>", "<end>", "user:", "assistant:", "system:", "a", "b", "c", "nl")
TURNS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' <end> ' }}{% endfor %}"
ASKING = TURNS + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system turn') }}{% endif %}"


def tokenizer(template: str | None, *, begins: bool = False) -> Any:
    """One token for each of ``WORDS``; ``begins``: every text begins with <bos>, as Gemma's do."""
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="nl"))
    backend.pre_tokenizer = WhitespaceSplit()
    if begins:
        backend.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", additional_special_tokens=["<end>"]
    )
    made.chat_template = template
    return made


def words(ids: list[int]) -> str:
    return " ".join(WORDS[i] for i in ids)


CHAT: Chat = (*user("a"), Message("assistant", "b"), *user("c"))


def test_the_template_says_how_a_chat_is_read() -> None:
    form = ChatFormat(tokenizer(ASKING, begins=True))
    assert words(form.prompt(CHAT)) == "user: a <end> assistant: b <end> user: c <end> assistant:"
    assert words(form.response("b")) == "b <end>"
    assert words(form.response("")) == "<end>"


@pytest.mark.parametrize(("begins", "first"), [(True, "<bos> "), (False, "")])
def test_a_base_model_is_given_a_plain_template_that_begins_as_its_texts_do(begins: bool, first: str) -> None:
    plain = tokenizer(None, begins=begins)
    form = ChatFormat(plain)
    assert words(form.prompt(CHAT)) == first + "user: a assistant: b user: c assistant:"
    assert words(form.response("b")) == "b <eos>"
    assert plain.chat_template.endswith(PLAIN_TEMPLATE)
    assert ChatFormat(plain).prompt(CHAT) == form.prompt(CHAT), "also when it was saved and read again"


def test_what_follows_an_answer_ends_a_turn_only_if_it_is_a_special_token() -> None:
    newline = tokenizer("{% for m in messages %}{{ m['content'] + ' nl ' }}{% endfor %}")
    newline.add_tokens(["nl"])
    assert words(ChatFormat(newline).response("b")) == "b <eos>"
    bare = tokenizer("{{ messages[-1]['content'] }}")
    assert words(ChatFormat(bare).response("b")) == "b <eos>"


def test_what_the_template_does_not_take_is_the_users_mistake() -> None:
    form = ChatFormat(tokenizer(NO_SYSTEM + TURNS))
    with pytest.raises(InputError, match=r"prompt is .*template takes \(No system turn\)$"):
        form.prompt((Message("system", "a"), *user("b")))
    with pytest.raises(InputError, match=r"prompt is \(\), expected at least one turn"):
        form.prompt(())


def test_a_local_model_stops_where_its_template_ends_a_turn(tiny) -> None:
    from biddable.models.local import LocalModel

    model = LocalModel(tiny, tokenizer(ASKING), name="tiny")
    assert model.end_id == WORDS.index("<end>")
    assert words(model.encode_response("c")) == "c <end>"
    assert {WORDS.index("<end>"), WORDS.index("<eos>"), 2} <= model._end_ids


def test_only_the_first_process_writes_the_weights(tiny, tmp_path, monkeypatch) -> None:
    from biddable.models.local import LocalModel

    model = LocalModel(tiny, tokenizer(None), name="tiny")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert model.save(tmp_path) == tmp_path
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    model.save(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()


def test_seeds_are_one_for_each_chat() -> None:
    chats = [user("a"), user("b")]
    assert list(row_seeds(chats, 1, None)) == [0, 1]
    assert row_seeds(chats, 3, [7, 7]) == [7, 7]
    with pytest.raises(InputError, match="seeds is '1 of them', expected one for each of the 2 chats"):
        row_seeds(chats, 1, [7])
    with pytest.raises(InputError, match="n is 0, expected an integer of at least 1"):
        row_seeds(chats, 0, None)


def test_neighbouring_rows_share_no_seed() -> None:
    drawn = {sample_seed(row, sample) for row in range(100) for sample in range(10)}
    assert len(drawn) == 1000
    assert all(0 <= seed < 2**31 for seed in drawn)
