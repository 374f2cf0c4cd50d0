"""What all tests share: one thread for numeric libraries, hypothesis profiles, the data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Nothing has imported numpy or torch yet; their thread pools read these once, when imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Time limits and "too slow" checks are off: what they report is how busy the machine is.
settings.register_profile(
    "quick",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("thorough" if os.environ.get("VERIFEX_TEST_THOROUGH") == "1" else "quick")


def pytest_report_header(config: pytest.Config) -> str:
    """Whether slow tests run; with several processes pytest does not count what it leaves out."""
    left_out = config.option.markexpr == "not slow"
    return f"slow tests: {'left out (make test-all runs them)' if left_out else 'as asked'}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of benchmark data; the test is skipped by name where there is none.

    It is `../shared/data` beside the repository, or what VERIFEX_DATA names. Naming a folder that
    does not exist is an error, so that a run which means to use the data cannot skip it.
    """
    named = os.environ.get("VERIFEX_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if (folder / "MANIFEST.tsv").is_file():
        return folder
    if named:
        raise FileNotFoundError(f"VERIFEX_DATA={named}: no MANIFEST.tsv there")
    pytest.skip("needs the benchmark data in ../shared/data (or VERIFEX_DATA)")
