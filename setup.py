"""Packaging. Tool settings stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "toolkit/__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
README = ROOT / "README.md"

# torch 2.10 is the floor because loading weights was memory-unsafe before it (CVE-2026-24747)
CORE = [
    "torch>=2.10",
    "numpy>=1.26",
    "scipy>=1.11",
    "sentencepiece>=0.2",
    "g2p-en>=2.1",
    "kaldiio>=2.18",
    "typeguard>=4.3",
    "soundfile>=0.12",
    "PyYAML>=6",
    "safetensors>=0.4",
]
EXTRAS = {
    "train": ["tensorboard>=2.16", "matplotlib>=3.8", "rich>=13"],
    "eval": ["pocketsphinx>=5", "jiwer>=3", "matplotlib>=3.8"],
    "export": ["h5py>=3.10"],
    "dev": [
        "pytest>=8",
        "hypothesis>=6.100",
        "coverage>=7",
        "ruff==0.17.6",
        "mypy>=1.15",
        "codespell>=2.3",
        "pre-commit>=4",
        "types-PyYAML",
    ],
}

setup(
    name="toolkit",
    version=VERSION.group(1) if VERSION else "0",
    description="Text-to-speech research toolkit: Tacotron 2, WaveNet and interchangeable parts around them",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["toolkit", "toolkit.*"]),
    package_data={"toolkit": ["py.typed", "evaluate/*.css", "evaluate/*.js", "kernels/source/*.cpp", "kernels/source/*.hpp"]},
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["toolkit = toolkit.bin.main:console"]},
)
