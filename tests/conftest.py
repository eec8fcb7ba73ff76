"""What the tests share: where the repository is, and a browser for the built site."""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "nbs" / "_site"))  # book.py and readme.py


def missing(reason):
    """Skip a test that lacks something, and say what; in CI nothing is skipped."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (and CI is set: nothing is skipped there)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def site():
    """The folder of the built site."""
    if not (ROOT / "_docs" / "index.html").exists():
        missing("no built site: run make docs first")
    return ROOT / "_docs"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, from $CHROMIUM or the PATH, that talks to nobody by itself."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        missing("no Chromium: install it, or set CHROMIUM=/path/to/it")
    from playwright.sync_api import sync_playwright

    flags = "headless no-sandbox disable-gpu disable-dev-shm-usage no-first-run "
    flags += (
        "disable-quic disable-background-networking disable-component-update disable-sync"
    )
    with sync_playwright() as playwright:
        arguments = [f"--{flag}" for flag in flags.split()]
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()


FIRST = ["test_types.py", "test_package.py", "test_execute.py"]


def pytest_collection_modifyitems(items):
    """Begin with the tests that wait long for other programs.

    At the end one process would wait for them alone; and where they stand together, a process that has nothing left to do
    takes none of them, and does not start the type checker a second time.
    """
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_runtest_setup(item):
    """Tests marked `gpu` say why they are skipped where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
