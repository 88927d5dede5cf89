"""Functions that the tests of the pools run in workers."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from headway.pools.current import worker_call


class Refused(Exception):
    def __init__(self, item: str, count: int) -> None:
        super().__init__(item, count)
        self.item = item


class Task:
    """What a decorator leaves in the place of a function."""

    def __init__(self, fn):
        self.fn = fn

    def __call__(self, *args):
        raise AssertionError("a worker calls the plain function")


def echo(value):
    return value


def noop():
    return None


def pid():
    return os.getpid()


def both(a, *, b):
    return [a, b]


@Task
def decorated(value):
    return value * 2


async def coroutine(value):
    return value + 1


class Holder:
    @staticmethod
    def method(value):
        return value


def double(array):
    array *= 2  # the worker's own copy
    return array


def zeros(count):
    return np.zeros(count)


def refuse(item):
    raise Refused(item, 3)


def leave():
    sys.exit(3)


def exit_now(code):
    os._exit(code)


def crash():
    ctypes.string_at(0)


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def unencodable():
    return {"lock": threading.Lock()}


def say(path):
    """Tell that the code runs, by creating a file."""
    Path(path).write_text(str(os.getpid()))


def spin(path):
    say(path)
    while True:
        pass


def sleep_in_async(path):
    return _sleep_in_async(path)


async def _sleep_in_async(path):
    import asyncio

    say(path)
    await asyncio.sleep(1000)


def nap(path):
    say(path)
    time.sleep(1000)


def nap_through_the_first_signal(path):
    """As when it comes just before the system call: such a signal is heard when the call returns."""
    send, sent = signal.pthread_kill, []

    def lose_the_first(thread, number):
        sent.append(number)
        if len(sent) > 1:
            send(thread, number)

    signal.pthread_kill = lose_the_first
    try:
        nap(path)
    finally:
        signal.pthread_kill = send


def stubborn(path):
    say(path)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


def masked(path):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    say(path)
    time.sleep(1000)


def hold_the_interpreter(path):
    say(path)
    ctypes.PyDLL(None).sleep(1000)


def charge_and_spin(path):
    call = worker_call()
    for _ in range(1000):
        call.charge({"nodes": 1.0}, None)
    spin(path)


def charge_and_die():
    worker_call().charge({"nodes": 7.0}, None)
    os._exit(1)


def charge(times):
    for _ in range(times):
        worker_call().charge({"nodes": 1.0, "tokens": 0.5}, None)
    return worker_call().remaining()


def charge_for_ever():
    while True:
        worker_call().charge({"nodes": 1.0}, None)


def facts():
    found = worker_call().facts
    return [found.key, found.task, found.attempt, found.idempotency_key, found.run_id, found.deadline]


def hurry():
    """Switch threads as often as possible, so that a cancel arrives at any point of a call."""
    sys.setswitchinterval(1e-6)
    return os.getpid()


def quick(count):
    total = 0
    for i in range(count):
        total += i
    return total


def print_line(text):
    print(text)


def close_everything():
    os.closerange(3, 256)
    time.sleep(1000)


def start_a_child(path, then):
    child = subprocess.Popen(["sleep", "1000"])
    Path(path).write_text(str(child.pid))
    then()


def leave_a_child(path):
    start_a_child(path, lambda: os._exit(1))


def hang_with_a_child(path):
    start_a_child(path, lambda: ctypes.PyDLL(None).sleep(1000))


class SignalAfterSend:
    """A socket in whose `sendmsg` this process is asked to interrupt the call."""

    def __init__(self, worker):
        self.worker, self.sock = worker, worker._outbox._sock

    def sendmsg(self, *args):
        sent = self.sock.sendmsg(*args)
        self.worker._outbox._sock = self.sock
        self.worker._cancelled = self.worker._number
        signal.raise_signal(signal.SIGUSR1)
        return sent


def charge_while_interrupted():
    call = worker_call()
    call._worker._outbox._sock = SignalAfterSend(call._worker)
    call.charge({"nodes": 3.0}, None)
    return "not interrupted"


def signalled_for_another():
    worker_call()._worker._cancelled = 10**9
    signal.raise_signal(signal.SIGUSR1)
    return "not interrupted"
