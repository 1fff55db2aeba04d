"""The root options of ``faust``: each works with the command, or is refused.

Faust reads its options before the command, for all commands alike, and ignores those that the
command does not use. It puts ``-D`` into the environment after the app has read the environment,
and enters the folder of ``-W`` twice. Relies on ``faust.cli.base`` of Faust 0.15: the group
``cli``, its callback, and that the group imports the app before it prints usage or a usage error.
"""

from __future__ import annotations

import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from click.core import ParameterSource
from faust.cli import params
from faust.cli.base import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.runtime.app import App

#: Faust's own commands. They run in a Faust worker, so logging options apply to them.
_FAUST: Final = {"agents", "clean-versions", "livecheck", "model", "models", "reset", "send"} | {
    "tables"
}
_LOGGING: Final = _FAUST | {"worker"}

#: Commands that use an option, by the option's name.
_USED_BY: Final[dict[str, set[str]]] = {
    "json": {"agents", "audit", "dead-letters", "model", "models", "size", "status", "tables"}
    | {"topics"},
    "datadir": {"clean-versions", "reset", "restore-changelog", "worker"},
    "web_port": {"status", "top", "worker"},
    "loop": _LOGGING,
    **dict.fromkeys(("logfile", "loglevel", "blocking_timeout", "console_port"), _LOGGING),
}


def take_root_options(app: App, argv: Sequence[str] = sys.argv) -> None:
    """Make the root options do for ``app`` what their help says.

    Call this at the end of the app's module. Faust parses the command line before it imports that
    module, so a line with ``--web-port`` has failed by then; this function runs it again.
    """
    if all(param.name != "web_port" for param in cli.params):
        cli.params.append(
            click.Option(
                ["--web-port"],
                type=params.TCPPort(),
                help="Port of the worker's web server (default: WEB_PORT, or 6066).",
            )
        )
        for param in cli.params:
            if param.name == "loop" and isinstance(param, click.Option):
                # eventlet is not installed.
                param.type = click.Choice(["aio", "uvloop"])
                param.help, param.show_default = "Event loops to use (default: uvloop).", False
    cli.callback = _with_root_options(app, cast("Callable[..., Any]", cli.callback))
    if _web_port_before_the_command(argv):
        raise SystemExit(cli())


def _web_port_before_the_command(argv: Sequence[str]) -> bool:
    context = click.Context(cli, info_name="faust", resilient_parsing=True)
    try:
        found, _, _ = cli.make_parser(context).parse_args(list(argv[1:]))
    except click.UsageError:
        return False
    return "app" in found and "web_port" in found


def _with_root_options(app: App, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def callback(*args: Any, web_port: int | None = None, **kwargs: Any) -> Any:
        context = click.get_current_context()
        _refuse_unused(context)
        if kwargs.get("workdir"):
            # Faust entered the folder to import the app, and must not enter it again.
            kwargs["workdir"] = str(Path.cwd())
        result = original(*args, **kwargs)
        if context.get_parameter_source("datadir") is ParameterSource.COMMANDLINE:
            app.conf.datadir = Path(kwargs["datadir"])
        if web_port is not None:
            app.conf.web_port = web_port
        return result

    return callback


def _refuse_unused(context: click.Context) -> None:
    command = context.invoked_subcommand or ""
    for name, commands in _USED_BY.items():
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if command not in commands:
            option = f"--{name.replace('_', '-')}"
            known = ", ".join(sorted(commands))
            raise click.UsageError(f"{command} does not accept {option}; it is for: {known}")
