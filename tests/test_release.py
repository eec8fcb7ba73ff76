"""What a release says of itself, and what would stop one."""

import re
import shutil
import subprocess
import sys
import tarfile

import pytest
import release
from book import settings


def test_citation_and_recipe_say_what_the_settings_say():
    assert not list(release.disagreements())


def test_another_version_is_noticed(monkeypatch):
    monkeypatch.setattr(release, "VERSION", "9.9")
    assert len(list(release.disagreements())) == 2


def test_a_site_with_a_dead_link_is_no_release(tmp_path):
    page = f'<p id="a">{settings["title"]} {settings["version"]} <a href="#b">x</a> <a href="no.html">y</a> <a href="#a">z</a></p>'
    (tmp_path / "index.html").write_text(page)
    assert [p.split(" leads to ")[1] for p in release.site_problems(tmp_path)] == [
        "#b, where that anchor is not",
        "no.html, which is not there",
    ]


def test_a_missing_site_is_no_release(tmp_path):
    assert "run make docs" in next(release.site_problems(tmp_path))


def test_a_requirement_that_the_recipe_lacks_is_noticed(monkeypatch, tmp_path):
    for name in ("recipe", "CITATION.cff", "pyproject.toml"):
        (tmp_path / name).symlink_to(release.ROOT / name)
    monkeypatch.setitem(settings, "requirements", "numpy>=99\nnothing>=1")
    monkeypatch.setitem(settings, "min_python", "3.99")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    told = " ".join(release.disagreements())
    assert "numpy>=99" in told and "nothing>=1" in told and "3.99" in told


def test_a_name_that_the_recipe_does_not_define_is_noticed(monkeypatch, tmp_path):
    for name in ("CITATION.cff", "pyproject.toml"):
        (tmp_path / name).symlink_to(release.ROOT / name)
    (tmp_path / "recipe").mkdir()
    text = (release.ROOT / "recipe" / "recipe.yaml").read_text()
    (tmp_path / "recipe" / "recipe.yaml").write_text(text.replace("python_min: ", "x: "))
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert "python_min" in " ".join(release.disagreements())


def test_the_recipe_builds_without_isolation():
    script = release.script_of_recipe().split()
    assert script[0] == "PYTHON" and {"--no-deps", "--no-build-isolation"} <= set(script)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source distribution, built as a release does, from what git knows."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    kept = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(release.ROOT / release.LIB, copy / release.LIB, ignore=kept)
    for name in (*release.NEEDED, "MANIFEST.in"):
        shutil.copy(release.ROOT / name, copy)
    (copy / "tests").mkdir()
    (copy / "tests" / "test_x.py").touch()  # setuptools would take these, and no others
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", out, copy]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return next(out.glob("*.tar.gz"))


def test_the_source_distribution_is_whole(source):
    assert not list(release.source_problems(source))


def test_a_source_distribution_with_a_hole_is_noticed(source, monkeypatch):
    monkeypatch.setattr(release, "NEEDED", ("LICENSE", "nothing.txt"))
    assert list(release.source_problems(source)) == [f"{source.name} lacks nothing.txt"]


def test_the_metadata_of_the_source_distribution(source):
    with tarfile.open(source) as files:
        (name,) = [n for n in files.getnames() if n.count("/") == 1 and "PKG-INFO" in n]
        told = files.extractfile(name).read().decode()
    assert f"Version: {settings['version']}\n" in told
    assert f"Requires-Python: >={settings['min_python']}\n" in told
    assert "License-Expression: Apache-2.0\n" in told and "License-File: LICENSE\n" in told
    required = re.findall(r"(?m)^Requires-Dist: ([^;\n]+)$", told)
    assert sorted(required) == sorted(settings["requirements"].split())
    assert f"]({settings['git_url']}/raw/main/nbs/images/fig-index.png)" in told
    assert not re.findall(r"\]\((?!\w+:|#)[^)]*\)", told)  # nothing beside it on an index
