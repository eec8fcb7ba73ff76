"""Build the distribution from settings.ini, which holds all the metadata."""

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

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    url=cfg["git_url"],
    license="Apache-2.0",
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
