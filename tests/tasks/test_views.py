"""Rows as they are compared, counted and read."""

from biddable.tasks.views import opening, prompt_of_row, responses, shown, texts, word_counts
from biddable.types import Conversation, Message, Preference, user

CHAT = Conversation(
    (
        Message("system", "Be brief."),
        *user("One?"),
        Message("assistant", "Yes, one."),
        *user("Two?"),
        Message("assistant", "No."),
        *user("Thanks."),
    ),
    (False, False, True, False, True, False),
)
PAIR = Preference(user("One?"), "Yes, one.", "No.")


def test_a_conversation_is_near_to_others_by_what_the_user_says():
    assert prompt_of_row(CHAT) == "One?\n\nTwo?\n\nThanks."
    assert prompt_of_row(Preference("raw text", "a", "b")) == "raw text"


def test_what_is_learned_is_counted_and_the_last_of_it_shown():
    assert responses(CHAT) == [("One?", "Yes, one."), ("Two?", "No.")]
    assert (word_counts(CHAT), word_counts(PAIR)) == ([3], [2, 1])
    assert opening(CHAT) == CHAT.chat[:4]
    assert shown(CHAT) == ("system: Be brief.\n\nuser: One?\n\nassistant: Yes, one.\n\nuser: Two?", "No.")
    assert texts(CHAT)[-1] == "Thanks."


def test_of_a_preference_both_responses_are_shown():
    assert shown(PAIR) == ("One?", "chosen: Yes, one.\n\nrejected: No.")
    assert texts(PAIR) == ["One?", "Yes, one.", "No."]
