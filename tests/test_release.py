"""What a release says of itself, and what would stop one."""

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
