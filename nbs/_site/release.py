"""Make a release and try it: wheel, source distribution and the site as a zip, in dist/.

`make release` calls this after `make docs`. The wheel and the source distribution are each installed into an environment
of its own, with what they require and nothing else, and used there; the latter once more as conda-forge would, without
isolation and without dependencies. The zip is unpacked elsewhere and every address in it is followed.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

from book import LIB, ROOT, settings

DIST, SITE, VERSION = ROOT / "dist", ROOT / "_docs", settings["version"]
MOST_MEGABYTES = 60
TRIAL = f"""
import numpy as np, {LIB}
assert {LIB}.__version__ == {VERSION!r}, {LIB}.__version__
rng = np.random.default_rng(0)
X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
W = {LIB}.attention_weights(X[:5], X, intercept=True)
assert np.allclose(W @ y, np.column_stack([np.ones(5), X[:5]]) @ np.linalg.lstsq(np.column_stack([np.ones(50), X]), y, rcond=None)[0])
import torch
q = torch.ones(1, 4, 2)
assert {LIB}.ridge_attention(q, q, q, lam=1.0, is_causal=True).shape == (1, 4, 2)
from importlib.resources import files
assert (files({LIB!r}) / "py.typed").is_file() and (files({LIB!r}) / "__init__.pyi").is_file()
"""
NEEDED = (
    "LICENSE",
    "README.md",
    "CITATION.cff",
    "settings.ini",
    "setup.py",
    "pyproject.toml",
)


def main():
    """Build all three, and try them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--requirement", action="append", default=[], help="installed beside the wheel"
    )
    options = parser.parse_args()
    problems = [*disagreements(), *site_problems(SITE)]
    if problems:
        sys.exit("Not released:\n" + "\n".join(f"  {problem}" for problem in problems))
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT)
    archive = zip_site()
    (wheel,), (source,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    if problems := list(source_problems(source)):
        sys.exit("The source distribution is not whole:\n" + "\n".join(problems))
    with tempfile.TemporaryDirectory() as folder:
        try_installed(wheel, Path(folder) / "wheel", options.requirement)
        python = try_installed(source, Path(folder) / "source", options.requirement)
        try_unpacked(source, Path(folder) / "unpacked", python)
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder)
        if problems := list(site_problems(Path(folder) / archive.stem)):
            sys.exit("The zip is not whole:\n" + "\n".join(problems))
    for path in (wheel, source, archive):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")


def run(*command, **options):
    """Run a command; its failure is ours."""
    subprocess.run([str(part) for part in command], check=True, **options)


def try_installed(archive, folder, requirements):
    """Install a wheel or a source distribution into a fresh environment, use it, and give its Python."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", archive, *requirements)
    use(python)
    return python


def use(python):
    """Use the package that an environment has, far from the repository."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    folder = python.parents[1]
    run(python, "-m", "pip", "check", "-q", env=clean)
    run(python, "-c", TRIAL, cwd=folder, env=clean)
    run(python.with_name(LIB), "--help", cwd=folder, env=clean, stdout=subprocess.DEVNULL)


def try_unpacked(source, folder, python):
    """Build an unpacked source distribution as the recipe does, in an environment that has what it needs."""
    with tarfile.open(source) as files:
        files.extractall(folder, filter="data")
    run(python, "-m", "pip", "uninstall", "-q", "-y", LIB)
    run(python, "-m", "pip", "install", "-q", build_requirement())
    (unpacked,) = folder.iterdir()
    script = script_of_recipe().split()
    run(python, *script[1:], cwd=unpacked, stdout=subprocess.DEVNULL)
    use(python)


def script_of_recipe():
    """Read how conda-forge builds the package."""
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
    return re.search(r"(?m)^  script: \$\{\{ (PYTHON) \}\}( .*)$", recipe).expand(r"\1\2")


def build_requirement():
    """Read what building the package requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (requirement,) = project["build-system"]["requires"]
    return requirement


def source_problems(source):
    """Yield what a source distribution lacks, or has that is not part of it."""
    with tarfile.open(source) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    for path in (ROOT / LIB).rglob("*.py*"):
        if (
            path.suffix in (".py", ".pyi")
            and path.relative_to(ROOT).as_posix() not in names
        ):
            yield f"{source.name} lacks {path.relative_to(ROOT)}"
    yield from (f"{source.name} lacks {name}" for name in NEEDED if name not in names)
    strange = {n for n in names if n.split("/")[0] in ("nbs", "tests", "_docs", ".venv")}
    yield from (f"{source.name} holds {name}" for name in sorted(strange)[:3])


def zip_site():
    """Pack the site; its only folder is named as the archive."""
    archive = DIST / f"{LIB}-{VERSION}-site.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for path in sorted(SITE.rglob("*")):
            if path.is_file():
                files.write(path, Path(archive.stem) / path.relative_to(SITE))
    return archive


def disagreements():
    """Yield what the citation and the recipe say otherwise than settings.ini."""
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
    for name, text, wanted in [
        ("CITATION.cff", citation, f"version: {VERSION}\n"),
        ("CITATION.cff", citation, settings["git_url"]),
        ("CITATION.cff", citation, settings["author"]),
        ("recipe/recipe.yaml", recipe, f'version: "{VERSION}"'),
        ("recipe/recipe.yaml", recipe, f'python_min: "{settings["min_python"]}"'),
        ("recipe/recipe.yaml", recipe, settings["description"]),
        ("recipe/recipe.yaml", recipe, settings["git_url"]),
        ("recipe/recipe.yaml", recipe, settings["doc_host"] + settings["doc_baseurl"]),
        ("recipe/recipe.yaml", recipe, f"- {LIB} = {LIB}.models.command:main\n"),
        ("recipe/recipe.yaml", recipe, f"- {build_requirement().replace('>=', ' >=')}\n"),
    ]:
        if wanted not in text:
            yield f"{name} does not say {wanted.strip()!r}"
    other_names = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    for requirement in settings["requirements"].split():
        name, version = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        if f"- {other_names.get(name, name)} {version}\n" not in recipe:
            yield f"recipe/recipe.yaml does not require {requirement}"
    known = re.findall(r"(?m)^  (\w+): \"", recipe.partition("\npackage:")[0])
    for name in re.findall(r"\$\{\{ (\w+) \}\}", recipe):
        if name not in (*known, "PYTHON"):
            yield f"recipe/recipe.yaml does not say what {name} is"


class Addresses(HTMLParser):
    """Collect what a page links to, what it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.resources, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        found = self.links if tag == "a" else self.resources
        found += [attributes[n] for n in ("href", "src") if attributes.get(n)]


def site_problems(site):
    """Yield what is wrong with a site: links into nothing, another version, too large."""
    if not (site / "index.html").exists():
        yield f"no site in {site}: run make docs"
        return
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 2**20
    if size > MOST_MEGABYTES:
        yield f"the site has {size:.0f} MB, more than {MOST_MEGABYTES}"
    if f"{settings['title']} {VERSION}" not in (site / "index.html").read_text(
        encoding="utf-8"
    ):
        yield f"the site does not name version {VERSION}"
    pages = [p for p in site.rglob("*.html") if "_static" not in p.relative_to(site).parts]
    parsed = {
        p.relative_to(site).as_posix(): Addresses(p.read_text(encoding="utf-8"))
        for p in pages
    }
    for page, addresses in parsed.items():
        for address in addresses.links + addresses.resources:
            if re.match(r"[a-z]+:|//", address):
                continue
            target, anchor = urldefrag(urljoin(page, address))
            target = unquote(target.split("?")[0]) or page
            if not (site / target).is_file():
                yield f"{page} leads to {address}, which is not there"
            elif target in parsed and unquote(anchor) not in parsed[target].anchors:
                yield f"{page} leads to {address}, where that anchor is not"


if __name__ == "__main__":
    main()
