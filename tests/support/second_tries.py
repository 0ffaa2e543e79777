"""What passes only when tried again is shown at the end of a run, and much of it fails the run."""

from typing import Final

import pytest

MOST: Final = 3
"""So many in one run may be a busy machine's doing. Each is a defect all the same."""


class SecondTries:
    """Of pytest-rerunfailures (`--reruns 1`), in the process that collects the reports."""

    def __init__(self) -> None:
        self._failures: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if str(report.outcome) == "rerun":  # an outcome of the plugin's own
            self._failures.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if len(self._failures) > MOST and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._failures:
            return
        terminalreporter.section("failed, and were tried again", red=True)
        for report in self._failures:
            terminalreporter.write_sep("_", report.nodeid)
            terminalreporter.write_line(report.longreprtext)
            for name, content in report.sections:
                terminalreporter.write_sep("-", name)
                terminalreporter.write_line(content)
        if len(self._failures) > MOST:
            terminalreporter.write_line(
                f"{len(self._failures)} tests had to be tried again, and {MOST} may: the run has failed.",
                red=True,
            )
