"""From chats to token ids: what is scored, where it ends, and what is refused."""

from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.models.chat import ChatFormat
from biddable.train.examples import Encoder, Example
from biddable.types import Chat, Message, user

from .tiny import CONTEXT, ids, local, word_tokenizer

ALTERNATING = (
    "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('The user begins') }}{% endif %}"
    "{% for message in messages %}{{ message['content'] + ' <eos> ' }}{% endfor %}"
)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(ChatFormat(word_tokenizer()), CONTEXT)


def test_the_completions_are_what_comes_after_the_template(encoder: Encoder) -> None:
    chat: Chat = (Message("system", "w1"), *user("w2 w3"))
    example = encoder.encode(chat, ["w4 w5", "w6"])
    assert example.prompt == ids("<turn> system w1 <end> <turn> user w2 w3 <end> <turn> assistant")
    assert example.completions == (ids("w4 w5 <end>"), ids("w6 <end>"))
    assert (example.tokens, example.longest) == (16, 14)


def test_an_empty_completion_is_the_end_of_the_turn(encoder: Encoder) -> None:
    assert encoder.encode(user("w1"), [""]).completions == (ids("<end>"),)


def test_prompt_and_completion_are_tokenised_as_when_the_model_is_asked() -> None:
    model = local()
    example = Encoder.of(model).encode(user("w1 w2"), ["w3"])
    assert list(example.prompt) == model.encode_prompt(user("w1 w2"))
    assert list(example.completions[0]) == model.encode_response("w3")


def test_real_weights_end_a_turn_with_what_they_stop_at(smollm2) -> None:
    encoder = Encoder.of(smollm2)
    example = encoder.encode(user("Say hello."), ["Hello."])
    assert smollm2.tokenizer.decode(example.completions[0]) == "Hello.<|im_end|>"
    assert smollm2.tokenizer.decode(example.prompt).endswith("Say hello.<|im_end|>\n<|im_start|>assistant\n")


def encode_all(encoder: Encoder, *rows: tuple[Chat, list[str]], too_long="error"):
    return encoder.encode_all(rows, field="pairs", too_long=too_long)


def test_a_prompt_without_turns_is_refused(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"^pairs\[1\]: prompt is \(\), expected at least one turn$"):
        encode_all(encoder, (user("w1"), ["w2"]), ((), ["w2"]))


def test_turns_that_the_template_refuses_are_the_users_mistake() -> None:
    encoder = Encoder(ChatFormat(word_tokenizer(ALTERNATING)), CONTEXT)
    with pytest.raises(InputError, match=r"^pairs\[0\]: prompt is .*template takes \(The user begins\)$"):
        encode_all(encoder, ((Message("assistant", "w1"), *user("w2")), ["w3"]))


def long(tokens: int) -> tuple[Chat, list[str]]:
    """A row whose longer sequence has so many tokens, 7 of which are the chat's frame and the end."""
    return user("w1"), ["w2", " ".join(["w3"] * (tokens - 7))]


def test_what_fills_the_context_fits_and_one_token_more_does_not(encoder: Encoder) -> None:
    (example,), _ = encode_all(encoder, long(CONTEXT))
    assert example.longest == CONTEXT
    problem = r"^pairs\[1\]: length is 65, expected at most 64 tokens, the model's context$"
    with pytest.raises(InputError, match=problem):
        encode_all(encoder, long(9), long(CONTEXT + 1))


def test_what_is_too_long_can_be_dropped(encoder: Encoder) -> None:
    examples, kept = encode_all(encoder, long(65), long(9), long(80), long(10), too_long="drop")
    assert kept == [1, 3]
    assert [example.longest for example in examples] == [9, 10]


def test_dropping_does_not_hide_other_mistakes(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"^pairs\[1\]: prompt"):
        encode_all(encoder, long(9), ((), ["w2"]), too_long="drop")


def test_no_rows_and_none_that_fits_are_refused(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"^pairs is \[\], expected at least one example$"):
        encode_all(encoder)
    with pytest.raises(InputError, match=r"^pairs is '2 examples', expected one that fits in 64 tokens$"):
        encode_all(encoder, long(65), long(66), too_long="drop")


def test_the_error_names_the_entry_a_row_was_made_from(encoder: Encoder) -> None:
    rows = [long(9), long(9), long(80)]
    with pytest.raises(InputError, match=r"^chats\[1\]: length is 80"):
        encoder.encode_all(rows, field="chats", too_long="error", sources=[0, 0, 1])


def test_sizes() -> None:
    example = Example((1, 2, 3), ((4,), (5, 6)))
    assert (example.tokens, example.longest) == (6, 5)
