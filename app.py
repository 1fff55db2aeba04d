"""The Faust app in the module that Faust loads; bootstrap.py builds it.

``faust -A app worker -l info`` runs a worker, ``faust -A app --help`` lists the other commands.
"""

from __future__ import annotations

from bootstrap import app_of_environment
from commands.options import take_root_options
from setting_file import read_env_file

read_env_file()
app = app_of_environment()
take_root_options(app)
