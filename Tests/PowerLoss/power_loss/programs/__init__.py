"""The programs that make promises: each runs on a recorded file system, and checks an image of it.

To add one: a class like those here, with `name`, `wrong` (its wrong versions), `run` and `check`, in ALL."""
from .base import Context
from .copy import Copy
from .log_store import LogStore
from .log_writer import LogWriter
from .maria_db import BufferedMariaDB, MariaDB
from .replace import Replace

__all__ = ['ALL', 'Context', 'MariaDB']
ALL = {program.name: program for program in [Replace, Copy, LogWriter, LogStore, MariaDB, BufferedMariaDB]}
