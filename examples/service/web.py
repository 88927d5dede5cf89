"""The web service: takes orders, shows how they are doing, passes a person's word on.

    DATABASE_URL=postgresql:///shop uvicorn web:app

An order's row and its run are written in one transaction: there is no order that nobody works on, and no work for an order that is
not there. The service itself drives nothing; workers do.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tasks import DATABASE, fulfil

import headway as hw
from headway.errors import QueueFull
from headway.journal.postgres.store import PostgresStore

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, customer text, item text, amount float);
CREATE TABLE IF NOT EXISTS books (key text PRIMARY KEY, kind text, order_id int, text text, pid int, at timestamptz DEFAULT now());
"""
store: PostgresStore


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Open the store once: it is shared by all requests."""
    global store
    store = await run_in_threadpool(PostgresStore, DATABASE)
    yield
    await run_in_threadpool(store.close)


def take_order(customer: str, item: str, amount: float) -> int:
    """The order's row and its run, in one transaction."""
    with psycopg.connect(DATABASE) as conn:
        query = "INSERT INTO orders (customer, item, amount) VALUES (%s, %s, %s) RETURNING id"
        (order,) = conn.execute(query, (customer, item, amount)).fetchone() or (0,)
        hw.enqueue(fulfil, order, item, amount, run_id=f"order-{order}", queue="orders", key=customer, store=store, conn=conn)
    return int(order)


async def post_order(request: Request) -> JSONResponse:
    asked = await request.json()
    try:
        order = await run_in_threadpool(take_order, str(asked["customer"]), str(asked["item"]), float(asked["amount"]))
    except QueueFull:
        return JSONResponse({"error": "we are busy: try again in a minute"}, status_code=503)
    return JSONResponse({"order": order}, status_code=202)


def look_up(order: int) -> dict[str, Any]:
    with psycopg.connect(DATABASE) as conn:
        row = conn.execute("SELECT customer, item, amount FROM orders WHERE id = %s", (order,)).fetchone()
    if row is None:
        return {"error": "no such order"}
    try:
        result = hw.result_of(f"order-{order}", timeout=0, store=store)
    except TimeoutError:
        result = None
    return {"customer": row[0], "item": row[1], "amount": row[2], "result": result}


async def get_order(request: Request) -> JSONResponse:
    return JSONResponse(await run_in_threadpool(look_up, int(request.path_params["order"])))


async def post_approval(request: Request) -> JSONResponse:
    asked = await request.json()
    order = int(request.path_params["order"])
    await run_in_threadpool(hw.signal, f"order-{order}", "approval", bool(asked["approved"]), store=store)
    return JSONResponse({"order": order}, status_code=202)


app = Starlette(
    routes=[
        Route("/orders", post_order, methods=["POST"]),
        Route("/orders/{order:int}", get_order),
        Route("/orders/{order:int}/approval", post_approval, methods=["POST"]),
    ],
    lifespan=lifespan,
)
