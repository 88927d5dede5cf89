"""Imported by the server that forks workers, and by nothing else: it stays when everything is told to end.

SIGTERM may come to all processes of a machine at once. The run's driver decides what becomes of its workers then, and needs the
server for that: it says how each of them ended. The server ends when the driver does. What it forks is as it would have been.
"""

from __future__ import annotations

import signal

from headway.ipc.interrupts import keep_from_forks

keep_from_forks(signal.SIGTERM, signal.SIG_IGN)
