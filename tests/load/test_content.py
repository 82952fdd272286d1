"""What a request says, before an API spells it."""

from pytest_inferbench.load.content import Content, Message, said


def test_one_text_is_one_message_of_the_users() -> None:
    assert said("hi") == Content(messages=(Message("user", "hi"),))


def test_the_text_of_a_conversation_is_all_of_it() -> None:
    turns = Content(messages=(Message("system", "be brief"), Message("user", "hi"), Message("assistant", "hello")))
    assert turns.text == "be brief hi hello"
