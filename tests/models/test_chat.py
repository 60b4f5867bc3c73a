"""Chats as token ids: where a prompt begins, where a turn ends, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import AddedToken, PreTrainedTokenizerFast

from biddable.errors import InputError, ModelError
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


def chatml(end: str) -> str:
    return "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}" + end + "{% endfor %}"


@pytest.mark.parametrize(
    ("closing", "end"),
    [
        (" <end> ", "<end>"),
        (" <end> \n", "<end>"),
        ("\n<end>", "<end>"),
        (" <ordinary> ", "<ordinary>"),
        ("{{ '\n' }}", "<eos>"),
        ("{{ '\n' }}<end>", "<end>"),
        ("", "<eos>"),
        (" c <eos>", "<eos>"),
        ("{% if not loop.last %} <ordinary> {% endif %}", "<ordinary>"),
    ],
)
def test_a_turn_ends_with_the_added_token_that_closes_it_special_or_not(closing: str, end: str) -> None:
    made = tokenizer(chatml(closing))
    # As in Gemma, whose newline is an added token and ends no turn.
    made.add_tokens([AddedToken(word, special=False) for word in ("<ordinary>", "\n")])
    form = ChatFormat(made)
    assert made.convert_ids_to_tokens(form.end_id) == end
    assert made.convert_ids_to_tokens(form.response("b")) == ["b", end]


def test_what_opens_each_turn_does_not_end_one() -> None:
    made = tokenizer("{% for m in messages %}<turn>{{ m['role'] + ': ' + m['content'] }}{% endfor %}")
    made.add_tokens([AddedToken("<turn>", special=True)])
    assert words([ChatFormat(made).end_id]) == "<eos>"


def test_a_tokenizer_without_an_end_takes_the_models_or_is_refused() -> None:
    made = tokenizer("{{ messages[-1]['content'] }}")
    made.eos_token = None
    assert words(ChatFormat(made, end=6).response("b")) == "b a"
    with pytest.raises(ModelError, match=r"^the tokenizer has no eos_token, .*: nothing would end a resp"):
        ChatFormat(made).response("b")
    assert words(ChatFormat(made).prompt(user("b"))) == "b"


def test_a_model_is_asked_for_its_end_token_and_its_vocabulary(tiny: Any) -> None:
    made = tokenizer("{{ messages[-1]['content'] }}")
    made.eos_token = None
    assert ChatFormat.of(tiny, made).end_id == tiny.generation_config.eos_token_id
    rows = tiny.get_input_embeddings().weight.shape[0]
    made.add_tokens([f"<more{i}>" for i in range(rows)])
    with pytest.raises(
        InputError, match=rf"'<more\d+>' is number \d+, and the model's embedding has {rows} rows\)$"
    ):
        ChatFormat.of(tiny, made).prompt(user(f"a <more{rows - 1}>"))


def test_tokens_beyond_the_embedding_are_named() -> None:
    made = tokenizer(ASKING)
    form = ChatFormat(made, vocabulary=8)
    assert words(form.prompt(user("a b"))) == "user: a b <end> assistant:"
    problem = (
        r"is '\d tokens', expected tokens that the model has "
        r"\('c' is number 8, and the model's embedding has 8 rows\)$"
    )
    with pytest.raises(InputError, match="^prompt " + problem):
        form.prompt(user("a c"))
    with pytest.raises(InputError, match="^response " + problem):
        form.response("c")
    with pytest.raises(ModelError, match=r"^the responses cannot be ended: '<end>' is number 2, and the"):
        _ = ChatFormat(made, vocabulary=2).end_id


def test_the_system_is_put_before_the_user_where_the_template_has_no_place_for_it(caplog: Any) -> None:
    form = ChatFormat(tokenizer(NO_SYSTEM + ASKING))
    chat = (Message("system", "a"), *user("b"))
    assert words(form.prompt(chat)) == "user: a b <end> assistant:"
    form.prompt((Message("system", "c"), *user("b")))
    (line,) = caplog.messages
    assert line.startswith("the chat template takes no system turn")


@pytest.mark.parametrize(
    ("chat", "problem"),
    [
        ((), r"^prompt is \(\), expected at least one turn$"),
        ("", r"^prompt is '', expected a text that says something"),
        (5, r"^prompt is 5, expected a tuple of Message"),
        (["a"], r"^prompt\[0\] is 'a', expected a Message\(role, content\)$"),
        (({"role": "user", "content": "a"},), r"^prompt\[0\] is {'role'"),
        (
            (*user("a"), Message("tool", "b")),
            r"^prompt\[1\]\.role is 'tool', expected one of system, user, assi",
        ),
        (user(None), r"^prompt\[0\]\.content is None, expected a text$"),
        (user("a\ud83d"), r"whole characters \(character 2 is the surrogate '\\ud83d'\)$"),
        (
            (*user("a"), *user("b")),
            r"expected turns that the chat template takes \(not twice\)$",
        ),
    ],
)
def test_what_is_no_chat_is_the_users_mistake(chat: Any, problem: str) -> None:
    twice = "{% if messages | length == 2 and messages[1].role == 'user' %}{{ raise_exception('not twice') }}"
    with pytest.raises(InputError, match=problem):
        ChatFormat(tokenizer(twice + "{% endif %}" + TURNS)).prompt(chat)


def test_a_prompt_without_a_token_and_a_response_that_is_no_text_are_refused() -> None:
    form = ChatFormat(tokenizer("{{ messages[-1]['content'] }}"))
    with pytest.raises(InputError, match=r"expected a text of at least one token$"):
        form.prompt(user(""))
    with pytest.raises(InputError, match=r"^response is None, expected a text$"):
        form.response(None)  # type: ignore[arg-type]


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
    with pytest.raises(InputError, match="seeds is '1 of them', expected one for each of the 2 prompts"):
        row_seeds(chats, 1, [7])
    with pytest.raises(InputError, match="n is 0, expected an integer of at least 1"):
        row_seeds(chats, 0, None)


def test_neighbouring_rows_share_no_seed() -> None:
    drawn = {sample_seed(row, sample) for row in range(100) for sample in range(10)}
    assert len(drawn) == 1000
    assert all(0 <= seed < 2**31 for seed in drawn)


@pytest.mark.parametrize("begins", [True, False])
def test_what_is_scored_after_raw_text_are_the_tokens_beyond_its_own(begins: bool) -> None:
    chats = ChatFormat(tokenizer(ASKING, begins=begins))
    first = "<bos> " if begins else ""
    [(start, target), (blank, moved)] = chats.spans(["a b", "a "], [" c a", "b"])
    assert (words(start), words(target)) == (f"{first}a b", "c a <end>")
    assert (words(blank), words(moved)) == (f"{first}a", "b <end>")
    [(start, target)] = chats.spans(["a b"], [" c"], end=False)
    assert words(target) == "c"


def test_a_word_that_both_texts_make_up_is_tokenised_apart() -> None:
    chats = ChatFormat(tokenizer(ASKING))
    [(start, target)] = chats.spans(["assistant"], [":"], end=False)  # whole, it is one token
    assert (len(start), len(target)) == (1, 1)


def test_what_is_scored_after_a_chat_is_its_response() -> None:
    chats = ChatFormat(tokenizer(ASKING))
    [(start, target)] = chats.spans([user("a")], ["b c"])
    assert (start, target) == (chats.prompt(user("a")), chats.response("b c"))
    with pytest.raises(InputError, match="prompt is 3"):
        chats.spans([3], ["a"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="response is '', expected a text of at least one token"):
        chats.spans(["a"], [""], end=False)
