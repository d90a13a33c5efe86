"""Passwords and tokens, without an app."""

import pytest
from bookshop.security import BadToken, check_password, hash_password, make_token, read_token


def test_a_password_is_known_again() -> None:
    stored = hash_password("secret", 10)
    assert check_password("secret", stored)
    assert not check_password("Secret", stored)


def test_the_same_password_is_stored_differently_each_time() -> None:
    assert hash_password("secret", 10) != hash_password("secret", 10)


def test_a_token_names_its_user() -> None:
    assert read_token(make_token(7, 100.0, "key"), 99.0, "key") == 7


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (make_token(7, 100.0, "key"), "expired"),
        (make_token(7, 200.0, "other key"), "not signed"),
        ("x" + make_token(7, 200.0, "key"), "not signed"),
        ("", "not signed"),
    ],
    ids=["expired", "other-key", "damaged", "empty"],
)
def test_a_bad_token_is_refused(token: str, reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        read_token(token, 101.0, "key")
