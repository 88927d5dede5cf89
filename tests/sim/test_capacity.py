"""The capacity model says what the simulator shows, whatever is full first; and no fleet makes more than its parts can."""

import pytest
from benchmarks.scale_out.capacity import FULL, LOADS, POINTS, SIZES, WITHIN, most_runs, needs, off_by
from benchmarks.scale_out.figures import Measured
from benchmarks.scale_out.model import Figures, Fleet, Load, demand, forecast
from benchmarks.scale_out.queues import recover_lost
from hypothesis import given, settings
from hypothesis import strategies as st

FIGURES = Figures(call_s=1e-4, turn_s=4e-3, commit_s=1e-3, row_s=1e-5, look_s=2e-3, claim_s=5e-4, reply_s=1e-3)
MEASURED = Measured(
    figures=FIGURES, parked_bytes=1000, row_bytes=500, driven_bytes=1e5, sessions=3, machine="one", when="2026-01-01"
)
FULL_FIRST = {
    "slots are full": "slots",
    "drivers are full": "drivers",
    "the server is full": "server",
    "a server of two cores is full": "server",
    "claims fill the server": "server",
    "commits of many calls fill the server": "server",
}


@pytest.mark.parametrize("point", POINTS)
def test_the_model_is_near_the_simulator_whatever_is_full(point):
    assert off_by(point, seed=0) <= WITHIN


@pytest.mark.parametrize(("point", "first"), FULL_FIRST.items())
def test_what_is_full_first_is_what_the_point_is_about(point, first):
    found = forecast(*POINTS[point])
    assert found.first == first
    assert found.busy[first] > 0.9


def test_nothing_is_full_where_there_is_enough_of_all():
    for point in ("nothing is full", "most runs are parked"):
        assert max(forecast(*POINTS[point]).busy.values()) < 0.5


SECONDS = st.floats(1e-5, 1e-2)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Figures,
        call_s=SECONDS,
        turn_s=SECONDS,
        commit_s=SECONDS,
        row_s=st.just(1e-5),
        look_s=SECONDS,
        claim_s=SECONDS,
        reply_s=SECONDS,
        cores=st.sampled_from((1, 4)),
    ),
    st.builds(
        Load,
        runs=st.integers(1, 2_000),
        rounds=st.integers(1, 20),
        wide=st.sampled_from((1, 8)),
        lasts_s=st.floats(0.01, 10.0),
        parked_s=st.sampled_from((0.0, 30.0)),
    ),
    st.builds(Fleet, workers=st.integers(1, 20), slots=st.integers(1, 50)),
)
def test_no_fleet_makes_more_than_its_parts_can(figures, load, fleet):
    found = forecast(figures, load, fleet)
    least = demand(figures, load, load.answers_s, looks=0.0)
    most = min(
        fleet.workers * fleet.slots / load.answers_s,
        load.runs / (load.answers_s + load.parked_s),
        fleet.workers / least.driver_s,
        figures.cores / least.server_s,
    )
    assert 0 < found.turns <= most * 1.01
    assert set(found.busy) == {"slots", "drivers", "server"}


@pytest.mark.parametrize("load", [load for _, load in LOADS], ids=[name for name, _ in LOADS])
def test_what_runs_need_grows_with_them_and_fills_one_of_each_where_it_says_so(load):
    few, *_, many = [needs(MEASURED, load, runs) for runs in SIZES]
    assert many.calls == pytest.approx(few.calls * SIZES[-1] / SIZES[0])
    assert many.database == 1000 * SIZES[-1]
    full = most_runs(MEASURED, load)
    assert needs(MEASURED, load, round(full["core"])).cores == pytest.approx(1, rel=0.01)
    assert needs(MEASURED, load, round(full["slots"])).driven == pytest.approx(100 * FULL, rel=0.02)
    assert needs(MEASURED, load, round(full["server"])).servers == pytest.approx(1, rel=0.2)  # one worker at least looks


@pytest.mark.parametrize("seed", range(8))
def test_runs_of_a_killed_worker_go_on_elsewhere_within_the_lease_and_two_polls(seed):
    took = recover_lost(seed)
    assert 20.0 < took.ours <= took.baseline  # no sooner than the lease may be over
