"""What happens to an order: goods are reserved, a person approves what is expensive, the card is charged, a mail is sent.

Each step that changes the world is an effect with a key of its own, so that it happens once however often its run is tried.
"""

from __future__ import annotations

import os

import psycopg

import headway as hw

DATABASE = os.environ.get("DATABASE_URL", "postgresql:///shop")
EXPENSIVE = 100.0
DAY_S = 86_400.0


def write(kind: str, order: int, text: str) -> None:
    """Put a line into the shop's books, once for each call."""
    with psycopg.connect(DATABASE) as conn:
        query = "INSERT INTO books (key, kind, order_id, text, pid) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key) DO NOTHING"
        conn.execute(query, (hw.call().idempotency_key, kind, order, text, os.getpid()))


@hw.task(pool="thread", effect=True, retry=hw.Retry(attempts=5, on=psycopg.OperationalError))
def reserve(order: int, item: str) -> None:
    write("reserved", order, item)


@hw.task(pool="thread", effect=True, retry=hw.Retry(attempts=5, on=psycopg.OperationalError))
def charge(order: int, amount: float) -> str:
    write("charged", order, f"{amount:.2f}")
    return f"receipt {order}"


@hw.task(pool="thread", effect=True, retry=hw.Retry(attempts=5, on=psycopg.OperationalError))
def mail(order: int, text: str) -> None:
    write("mailed", order, text)


@hw.task
async def fulfil(order: int, item: str, amount: float) -> str:
    """The run of one order. While it waits for a person, it takes up no process and no slot."""
    await reserve(order, item)
    if amount > EXPENSIVE:
        try:
            approved = await hw.wait_event("approval", timeout=3 * DAY_S)
        except TimeoutError:
            approved = False
        if not approved:
            await mail(order, "we can't sell you that")
            return "declined"
    receipt = await charge(order, amount)
    await mail(order, f"thank you: {receipt}")
    return receipt


@hw.task(pool="thread")
def report() -> str:
    """What a schedule runs: how much was charged so far."""
    with psycopg.connect(DATABASE) as conn:
        row = conn.execute("SELECT count(*), coalesce(sum(text::float), 0) FROM books WHERE kind = 'charged'").fetchone()
    count, total = row or (0, 0.0)
    return f"{count} orders, {total:.2f} in all"
