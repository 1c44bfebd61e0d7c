"""A damaged key is refused by its shape and checksum alone, and told why."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.customers.key import ALPHABET, PREFIX, KeyBroken, checksum, hmac_of, make, parse, random_letters

#: The key of first-minutes.md §2.
SAMPLE = "ep_live_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E21F0XHE"
letters = st.sampled_from(ALPHABET)
keys = st.builds(
    make,
    st.lists(letters, min_size=10, max_size=10).map("".join),
    st.lists(letters, min_size=32, max_size=32).map("".join),
)


def why(text: str) -> str:
    with pytest.raises(KeyBroken) as caught:
        parse(text)
    assert caught.value.code == "invalid_api_key"
    return caught.value.message


def test_the_key_on_the_first_screen_is_a_whole_key() -> None:
    assert parse(SAMPLE) == ("Ky9Pf34qY6", "Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E2")


def test_a_cut_key_is_told_how_much_of_it_is_there() -> None:
    """first-minutes.md §4, error 5."""
    assert why(SAMPLE[:-7]) == (
        "This API key is incomplete: 41 characters follow 'ep_live_', a whole key has 48. "
        "It was probably cut when it was copied."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "This is not an API key of this service: its keys start with 'ep_live_'."),
        ("sk-proj-abcdefgh", "This is not an API key of this service: its keys start with 'ep_live_'."),
        ("EP_LIVE_" + SAMPLE[8:], "This is not an API key of this service: its keys start with 'ep_live_'."),
        ("ep_live_", "This API key is incomplete: 0 characters follow 'ep_live_'"),
        ("ep_live_x", "This API key is incomplete: 1 character follows 'ep_live_'"),
        (SAMPLE + "Q", "This API key is too long: 49 characters follow 'ep_live_', a whole key has 48."),
        (SAMPLE[:-1] + "-", "This API key is damaged: it holds a character that no key has."),
        (SAMPLE[:-1] + "é", "This API key is damaged: it holds a character that no key has."),
        (SAMPLE[:-1] + "\n", "This API key is damaged: it holds a character that no key has."),
        (SAMPLE[:20] + "A" + SAMPLE[21:], "This API key is damaged: at least one character is wrong."),
    ],
)
def test_each_kind_of_damage_has_its_sentence(text: str, said: str) -> None:
    assert why(text).startswith(said)


@given(keys)
def test_a_key_that_was_made_is_read_back(text: str) -> None:
    assert len(text) == 56
    found = parse(text)
    assert make(found.id, found.secret) == text


@given(keys, st.integers(8, 55), letters)
def test_one_wrong_letter_is_always_noticed(text: str, place: int, letter: str) -> None:
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        assert "damaged" in why(changed)


@given(keys, st.integers(8, 54))
def test_two_neighbours_that_changed_places_are_noticed(text: str, place: int) -> None:
    changed = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if changed != text:
        assert "damaged" in why(changed)


@given(st.text(max_size=70))
def test_no_message_repeats_what_was_sent(text: str) -> None:
    message = why(PREFIX + text)
    assert len(text) < 6 or text not in message


def test_the_checksum_fits_six_letters_for_every_crc() -> None:
    assert 62**6 > 2**32
    assert {len(checksum(str(number))) for number in range(1000)} == {6}


@pytest.mark.parametrize(("key_id", "secret"), [("short", "x" * 32), ("x" * 10, "x" * 31), ("x" * 9 + "-", "x" * 32)])
def test_a_key_is_only_made_of_the_right_parts(key_id: str, secret: str) -> None:
    with pytest.raises(ValueError, match="a key has an id"):
        make(key_id, secret)


def test_a_stored_secret_depends_on_secret_and_pepper() -> None:
    found = {hmac_of(pepper, secret) for pepper in (b"1", b"2") for secret in ("a", "b")}
    assert len(found) == 4
    assert hmac_of(b"1", "a") == hmac_of(b"1", "a")


def test_letters_are_drawn_from_all_62() -> None:
    drawn = random_letters(5000, random.Random(7).randrange)
    assert set(drawn) == set(ALPHABET)
