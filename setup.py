"""Builds the accelerator where there is a compiler; without one the program runs without it."""

from __future__ import annotations

from setuptools import setup

try:
    from Cython.Build import cythonize
except ImportError:
    EXTENSIONS = []
else:
    EXTENSIONS = cythonize("accelerator/*.pyx", include_path=["."])
    for extension in EXTENSIONS:
        extension.optional = True

setup(ext_modules=EXTENSIONS)
