"""Builds the accelerator where there is a compiler; without one the program runs without it."""

from __future__ import annotations

import os

from setuptools import setup

try:
    from Cython.Build import cythonize
except ImportError:
    EXTENSIONS = []
else:
    EXTENSIONS = cythonize("accelerator/*.pyx", include_path=["."])
    for extension in EXTENSIONS:
        extension.optional = True
        # Nobody debugs them, and it takes a third longer with what a debugger needs.
        extension.extra_compile_args = [] if os.name == "nt" else ["-g0"]

setup(ext_modules=EXTENSIONS, options={"build_ext": {"parallel": os.cpu_count()}})
