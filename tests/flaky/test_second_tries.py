"""A run is red where a test fails twice, and where too much of it needed a second try."""

import pytest

from tests.support.second_tries import MOST

pytest_plugins = ["pytester"]

_RUN = ("-n", "2", "--reruns", "1", "-p", "no:cacheprovider")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Whose tests may ask whether they run a `second` time."""
    pytester.makeconftest(
        """
        import pathlib, pytest
        from tests.support.second_tries import SecondTries

        def pytest_configure(config):
            config.pluginmanager.register(SecondTries())

        @pytest.fixture
        def second(request, pytestconfig):
            seen = pathlib.Path(pytestconfig.rootpath, request.node.name)
            yield seen.exists()
            seen.touch()
        """
    )
    return pytester


def flaky(suite: pytest.Pytester, number: int) -> None:
    tests = [
        f"def test_{each}(second):\n    print('log of {each}')\n    assert second, 'not yet'"
        for each in range(number)
    ]
    suite.makepyfile("\n".join(tests))


def test_what_passes_when_tried_again_is_named_with_how_it_failed(suite: pytest.Pytester) -> None:
    flaky(suite, MOST)
    result = suite.runpytest_subprocess(*_RUN)
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"passed": MOST, "rerun": MOST}
    result.stdout.fnmatch_lines("*failed, and were tried again*")
    for each in range(MOST):
        result.stdout.fnmatch_lines_random([f"*::test_{each} *", "*not yet*", f"log of {each}"])


def test_too_many_second_tries_fail_the_run(suite: pytest.Pytester) -> None:
    flaky(suite, MOST + 1)
    result = suite.runpytest_subprocess(*_RUN)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [f"{MOST + 1} tests had to be tried again, and {MOST} may: the run has failed."]
    )


def test_what_fails_twice_has_failed(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_it():\n    assert False")
    assert suite.runpytest_subprocess(*_RUN).ret == pytest.ExitCode.TESTS_FAILED
