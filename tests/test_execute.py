"""How notebooks are executed, once for the site and for the tests."""

import asyncio
import copy
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import book
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


def test_the_longest_come_first():
    order = execute.longest_first(dict.fromkeys(book.book_notebooks()))
    assert set(order) == set(book.book_notebooks())
    first = execute.LONG if not execute.known_seconds() else list(execute.known_seconds())
    assert next(iter(order)).stem in first


def test_what_is_known_to_be_long_is_there():
    assert set(execute.LONG) <= {path.stem for path in book.book_notebooks()}


FORKED = """
import multiprocessing, os, sys

def tell(pipe):
    pipe.send("execute" in sys.modules)

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import execute
    before = os.environ.get("PYTHONPATH")
    execute.PRELOADED[:] = []
    execute.start_server()
    assert os.environ.get("PYTHONPATH") == before
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("forkserver").Process(target=tell, args=(there,)).start()
    print(here.recv())
"""


def test_forked_kernels_need_not_import_execute_again(tmp_path):
    """Every forked process begins with it; where it is not there yet, that takes longer than most notebooks."""
    (tmp_path / "forked.py").write_text(FORKED, encoding="utf-8")
    command = [sys.executable, tmp_path / "forked.py", book.HERE]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"


def test_a_figure_is_a_picture_though_its_libraries_were_imported_before_the_kernel():
    """In a process of its own, for a fork server takes its imports once."""
    code = """
import asyncio, multiprocessing, os, sys, tempfile
from pathlib import Path
import execute, nbformat
from jupyter_cache import get_cache

if __name__ == "__main__":
    os.environ.update(execute.ENVIRONMENT)
    multiprocessing.set_forkserver_preload(["matplotlib.pyplot", "matplotlib_inline.backend_inline"])
    cell = nbformat.v4.new_code_cell("import matplotlib.pyplot as plt\\nplt.plot([1, 2])\\nplt.show()")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "name": "python3"}
    folder = Path(tempfile.mkdtemp())
    error = asyncio.run(execute.execute(folder / "a.ipynb", notebook, get_cache(folder / "cache")))
    kinds = {kind for output in notebook.cells[0].outputs for kind in output.get("data", {})}
    print("found", error, "image/png" in kinds)
"""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "draws.py")
        script.write_text(code, encoding="utf-8")
        path = os.pathsep.join([str(Path(execute.__file__).parent), *sys.path])
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": path},
        )
    assert "found None True" in done.stdout, done.stdout + done.stderr
