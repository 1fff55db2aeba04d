"""Commands that run outside of a Faust worker: there is no app to start."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING, TypeVar

import click
from aiokafka.errors import KafkaError

from auditing import AuditError
from exporting.errors import ExportError
from rescaling.errors import RescaleError
from setting_variables import SettingsError
from streaming.errors import ChangelogError, ConfigurationError, StartError, TransactionFailedError
from streaming.kafka.broker_check import unreachable
from streaming.runtime.data_directory import NO_SPACE
from streaming.runtime.garbage import collect_seldom
from tables.rocks import StoreCorruptError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Any

    #: Beginnings of messages, for errors whose own text says too little.
    Texts = Mapping[type[TransactionFailedError], str]

_Result = TypeVar("_Result")

#: Errors whose text says what is wrong and what to do.
_TOLD = (
    *(AuditError, ExportError, RescaleError, SettingsError, StartError),
    *(ChangelogError, ConfigurationError, StoreCorruptError, StoreLockedError),
)
#: What to do about an error that passes.
AGAIN = "run the command again"

_OF_NETWORKS = ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError


def run_or_exit(
    main: Coroutine[Any, Any, _Result],
    brokers: str,
    *,
    code: int = 1,
    interrupted: int = 128 + signal.SIGINT,
    texts: Texts | None = None,
) -> _Result:
    """Run ``main`` and return its result; after an expected error, print it and end the process.

    Arguments:
        main: the command's work.
        brokers: the brokers' addresses, for the message that none answers.
        code: the exit code after an error.
        interrupted: the exit code after Ctrl-C.
        texts: messages for some errors.
    """
    try:
        return run_without_worker(main)
    except KeyboardInterrupt:
        sys.exit(interrupted)
    except Exception as exc:
        reason = _reason(exc, brokers, texts or {})
        if reason is None:
            raise
    click.echo(f"error: {reason}", err=True)
    sys.exit(code)


def _reason(exc: Exception, brokers: str, texts: Texts) -> str | None:
    """Describe an expected error in one line; None for any other."""
    for kind, text in texts.items():
        if isinstance(exc, kind):
            return f"{text}: {exc}"
    if isinstance(exc, _TOLD):
        return str(exc)
    # click ends the process quietly if nobody reads its output any more.
    if isinstance(exc, OSError) and exc.errno == errno.EPIPE:
        return None
    if isinstance(exc, (KafkaError, *_OF_NETWORKS)):
        return unreachable(brokers, exc)
    # rocksdict raises a plain Exception for every error of RocksDB.
    return str(exc) if isinstance(exc, OSError) or NO_SPACE.search(str(exc)) else None


def run_without_worker(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``main`` to its end, and return its result or raise its error.

    SIGTERM ends it as Ctrl-C does, so that temporary files are deleted; the exit code is 143.
    """
    # Broker errors arrive as exceptions, and are printed as one line.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    collect_seldom()
    has_sigterm = False

    async def run() -> _Result:
        task = asyncio.current_task()

        def end() -> None:
            nonlocal has_sigterm
            has_sigterm = True
            assert task is not None  # noqa: S101 - a coroutine that runs has a task
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        return await main

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if has_sigterm:
            sys.exit(128 + signal.SIGTERM)
        raise
