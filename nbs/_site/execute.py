"""Execute every notebook whose results are not known yet: `make docs` renders them, `make test` wants them without error.

A notebook is executed as a reader would, by a kernel of its own in its own folder, and what came of it is kept in the
cache from which MyST-NB renders the site (see `cache_folder` in conf.py: it changes with the package, the data and the
installed libraries). So both commands execute a notebook once for every state of the repository, whichever comes first.

Kernels are forked from a process that has imported the large libraries and nothing else: each is as fresh as any other,
and saves the seconds that the imports cost.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing.forkserver
import os
import shutil
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import book
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

PRELOADED = """
    IPython ipykernel.kernelapp matplotlib.pyplot matplotlib_inline.backend_inline mpmath numpy pandas
    scipy.integrate scipy.interpolate scipy.linalg scipy.optimize scipy.signal scipy.sparse.linalg scipy.special scipy.stats
    sklearn.datasets sklearn.kernel_ridge sklearn.linear_model sklearn.model_selection sklearn.pipeline
    statsmodels.api torch transformers
""".split()
TIMEOUT = 600  # of a cell, in seconds
# The longest come first, so that the workers end together. How long each took is kept here; before the first run, these are
# known to be long.
SECONDS = book.ROOT / "_build" / "seconds.json"
LONG = "recall inflation 13b_dask 07b_multihead 09c_structure 05d_sure 09g_importance 11c_fingerprint".split()
# What kernels inherit: one thread each, for they run side by side. Every figure has the style of chapter 14. Warnings print
# paths: tqdm looks for widgets, which a site has no use for; and the oldest transformers that chapter 7c works with knows
# only the old name of an argument. (Triton is not preloaded, nor what imports it: it must see how chapter 6a sets it up.)
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MATPLOTLIBRC": str(book.HERE / "matplotlibrc"),
    "PYTHONWARNINGS": "ignore:IProgress not found,"
    "ignore:`past_key_values` is deprecated:FutureWarning",
}


def kernel(connection_file, folder, environment):
    """Be a kernel, until told to end."""
    os.setpgid(0, 0)  # so that what it starts ends with it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from ipykernel.kernelapp import IPKernelApp

    # the parent is named so that the kernel ends with it, and does not greet the terminal; the backend of figures was
    # imported where no kernel was, and must learn of this one, or a figure is a line of text
    options = {
        "parent_handle": os.getppid(),
        "log_level": 40,
        "exec_lines": "['%matplotlib inline']",
    }
    given = [f"--IPKernelApp.{name}={value}" for name, value in options.items()]
    IPKernelApp.launch_instance(argv=["-f", connection_file, *given])


def start_server():
    """Start the process that kernels are forked from, with the libraries.

    This file is among them, for every forked process begins by importing it. Its folder must then be on the path.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(book.HERE), before)))
    multiprocessing.set_forkserver_preload([*PRELOADED, Path(__file__).stem])
    multiprocessing.forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


class Forked(multiprocessing.get_context("forkserver").Process):
    """A forked kernel, with what jupyter_client asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def poll(self):
        return self.exitcode

    def wait(self):
        self.join()
        return self.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)


class Provisioner(LocalProvisioner):
    """Forks a kernel where others start a process."""

    async def launch_kernel(self, cmd, *, cwd, env, **options):
        given = self.parent.connection_file, cwd, env
        self.process = Forked(target=kernel, args=given)
        self.process.start()
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class Manager(AsyncKernelManager):
    """Of a kernel that is forked."""

    def __init__(self, **options):
        super().__init__(**options)
        self.provisioner = Provisioner(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
        )


def cache_folder():
    """Name the folder of executed notebooks, which changes with everything their outputs depend on beside their code.

    That is the package, the data, the modules beside the notebooks, and the installed libraries.
    Folders of earlier states are deleted.
    """
    digest = hashlib.sha256()
    folders = (
        (book.ROOT / book.LIB).rglob("*.py"),
        (book.ROOT / "benchmarks" / "results").rglob("*"),
        (p for p in (book.NBS / "data").rglob("*") if p.suffix != ".pyc"),
        (path for path in book.NBS.glob("*/*.py") if path.parent.name != "_site"),
    )
    files = (path for paths in folders for path in paths if path.is_file())
    for path in sorted(files):
        digest.update(path.relative_to(book.ROOT).as_posix().encode() + path.read_bytes())
    installed = {f"{d.name} {d.version}" for d in distributions()}  # some are found twice
    digest.update(repr(sorted(installed)).encode())
    folder = book.ROOT / "_build" / "cache" / digest.hexdigest()[:16]
    for old in folder.parent.glob("*"):
        if old != folder:
            shutil.rmtree(old)
    return folder


def translated(path):
    """Read a notebook as the site does: its code is the key to the cache."""
    notebook = nbformat.read(path, as_version=4)
    docname = path.relative_to(book.NBS).with_suffix("").as_posix()
    return book.translate(notebook, docname)


def is_known(notebook, cache):
    """Tell whether the cache holds a notebook with the same code."""
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def known_seconds():
    """Give how long notebooks took the last time, a dict of their names to seconds."""
    return json.loads(SECONDS.read_text()) if SECONDS.exists() else {}


def longest_first(notebooks):
    """Put what took longest the last time first: a dict of paths to notebooks."""
    seconds = {name: 60.0 - i for i, name in enumerate(LONG)} | known_seconds()
    order = sorted(notebooks, key=lambda path: -seconds.get(path.stem, 0.0))
    return {path: notebooks[path] for path in order}


async def execute(path, notebook, cache):
    """Execute a translated notebook and keep it; give the error as text if a cell fails."""
    start = time.monotonic()
    where = {"metadata": {"path": str(path.parent)}}
    # times would stand in the cells' metadata, which are part of the key to the cache
    options = {"timeout": TIMEOUT, "record_timing": False}
    client = NotebookClient(
        notebook, resources=where, kernel_manager_class=Manager, **options
    )
    try:
        await client.async_execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        docname = path.relative_to(book.NBS).with_suffix("").as_posix()
        return book.failure(nbformat.read(path, as_version=4), str(error), docname)
    seconds = time.monotonic() - start
    print(f"  {seconds:5.1f} s  {os.path.relpath(path, book.ROOT)}", flush=True)
    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


async def execute_all(notebooks, cache, workers):
    """Execute notebooks, a dict of paths to translated ones, so many at a time; give the list of errors."""
    free, seconds = asyncio.Semaphore(workers), known_seconds()

    async def one(path, notebook):
        async with free:
            start = time.monotonic()
            error = await execute(path, notebook, cache)
            seconds[path.stem] = round(time.monotonic() - start, 1)
            return error

    found = await asyncio.gather(*(one(*each) for each in longest_first(notebooks).items()))
    SECONDS.write_text(json.dumps(seconds, indent=1) + "\n")
    return [error for error in found if error]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="these, by default all")
    parser.add_argument("--force", action="store_true", help="even what is known")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    folder = cache_folder()
    if options.force:
        shutil.rmtree(folder, ignore_errors=True)
    cache = get_cache(folder)
    paths = [Path(path).resolve() for path in options.notebooks] or book.book_notebooks()
    wanted = {path: translated(path) for path in paths}
    wanted = {path: each for path, each in wanted.items() if not is_known(each, cache)}
    if not wanted:
        print("Notebooks: nothing changed since they were executed without error.")
        return
    print(f"Executing {len(wanted)} notebooks:", flush=True)
    os.environ.update(ENVIRONMENT)
    if len(wanted) > 4:
        start_server()
    start = time.monotonic()
    errors = asyncio.run(execute_all(wanted, cache, options.workers))
    print(f"  {time.monotonic() - start:5.1f} s in all", flush=True)
    if errors:
        sys.exit("\n\n".join(errors))


if __name__ == "__main__":
    main()
