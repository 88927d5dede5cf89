"""`python -m headway.checkpoint.helper FD NICE`: the helper process of the trainer at the other end of a socket."""

from __future__ import annotations

import os
import signal
import socket
import sys

from headway.checkpoint.helper.messages import Order
from headway.checkpoint.helper.serve import Service
from headway.ipc.framing import Wire


def main() -> None:
    fd, nice = map(int, sys.argv[1:])
    os.nice(nice)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a scheduler signals all processes of the machine: the trainer saves now
    wire: Wire[Order] = Wire(socket.socket(fileno=fd), Order)
    Service(wire).run()


if __name__ == "__main__":
    main()
