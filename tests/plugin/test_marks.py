"""``@pytest.mark.isolated(...)``: what a test of an isolated run says of its apps, whichever client it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

OURS = """
    import os
    import pytest
    from isoclient import TestClient
    from shop import app

    def is_here(client):
        return client.get("/").text == str(os.getpid())

"""


def test_a_client_of_ours_does_as_the_mark_of_its_test_says(suite: Suite) -> None:
    source = (
        OURS
        + """
    @pytest.fixture
    def client():
        return TestClient(app)

    def test_elsewhere(client):
        assert not is_here(client)

    @pytest.mark.isolated(False)
    def test_here(client):
        assert is_here(client) and is_here(TestClient(app))

    @pytest.mark.isolated("request")
    def test_each_elsewhere(client):
        assert client.get("/").text != client.get("/").text

    @pytest.mark.isolated
    def test_as_all(client):
        assert not is_here(client)
    """
    )
    suite(source, "--isolated").assert_outcomes(passed=4)


def test_a_fixture_of_a_wider_scope_outlives_the_mark(suite: Suite) -> None:
    source = (
        OURS
        + """
    @pytest.fixture(scope="module")
    def client():
        return TestClient(app)

    @pytest.mark.isolated(False)
    def test_which_is_the_first_to_ask_for_it(client):
        assert not is_here(client)

    def test_after_it(client):
        assert not is_here(client)
    """
    )
    suite(source, "--isolated").assert_outcomes(passed=2)


def test_without_the_flag_it_says_nothing(suite: Suite) -> None:
    source = (
        OURS
        + """
    @pytest.mark.isolated("test")
    def test_here():
        assert is_here(TestClient(app))

    @pytest.mark.isolated("is of the project's own", 1)
    def test_not_ours():
        pass
    """
    )
    suite(source, "--strict-markers").assert_outcomes(passed=2)


@pytest.mark.parametrize("said", ["'tset'", "True, 1", "how=False"])
def test_nonsense_is_told_before_anything_runs(suite: Suite, said: str) -> None:
    result = suite(f"import pytest\n@pytest.mark.isolated({said})\ndef test_it(): pass", "--isolated")
    result.stderr.fnmatch_lines(
        [
            f"ERROR: test_suite.py::test_it is marked as isolated({said}); the mark takes True, False, 'client', "
            "'test', 'request', 'together' or 'together:test'"
        ]
    )
