"""A bench around a real pool, closed after the test."""

import asyncio

import pytest
from poolbench import Bench


@pytest.fixture
def bench():
    """Runs a coroutine function with a bench around a pool, which is closed afterwards."""

    def run(pool, scenario):
        async def main():
            one = Bench(pool)
            try:
                return await scenario(one)
            finally:
                await pool.close()

        return asyncio.run(main())

    return run
