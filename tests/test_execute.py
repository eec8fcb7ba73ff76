"""How notebooks are executed, once for the site and for the tests."""

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

import execute
import nbformat
from jupyter_cache import get_cache


def test_what_was_executed_is_known(tmp_path):
    """By the key under which MyST-NB looks for it: else every notebook is executed twice."""
    cache, path = get_cache(tmp_path / "cache"), tmp_path / "two.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "name": "python3"}
    assert not execute.is_known(notebook, cache)
    work = execute.execute(path, copy.deepcopy(notebook), cache)
    with ThreadPoolExecutor(1) as apart:  # a browser may have the loop of this thread
        assert apart.submit(asyncio.run, work).result() is None
    assert execute.is_known(notebook, cache)
