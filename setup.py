"""Build the distribution from settings.ini, which holds all the metadata."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

parser = ConfigParser(delimiters=["="])
parser.read(Path(__file__).parent / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
extras = {
    key.removesuffix("_requirements"): cfg[key].split()
    for key in cfg
    if key.endswith("_requirements")
}
for name in ("sklearn", "transformers", "distributed", "signatures", "gpu", "docs"):
    extras["dev"] += extras[name]

# A package index shows the README far from the files that it links to.
readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
for link, kind in ((r"(!\[[^\]]*\]\()", "raw"), (r"((?<!!)\[[^\]]*\]\()", "blob")):
    there = f"{cfg['git_url']}/{kind}/{cfg['branch']}/"
    readme = re.sub(link + r"(?!\w+:|#)", rf"\1{there}", readme)

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme,
    long_description_content_type="text/markdown",
    author=cfg["author"],
    url=cfg["git_url"],
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"]},
    keywords=cfg["keywords"],
    python_requires=">=" + cfg["min_python"],
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    package_data={"": ["*.pyi", "py.typed"]},
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"],
        "console_scripts": [f"{cfg['lib_name']}={cfg['lib_path']}.models.command:main"],
    },
    zip_safe=False,
)
