"""Prediction: how long a run will take on other machines, and what it will cost, before anybody pays for it.

    from headway.sim.predict import predict, read_workload

    answer = predict(read_workload("sky"), workers=64, mtbf_s=6 * 3600, within_s=7200)
    print(answer.conclusion())

A `Workload` comes from a recorded run (`read_workload`) or from your own numbers (`estimate_workload`). `predict` plays it many
times on simulated workers, with the engine that will run it. `docs/prediction.md` says what is assumed and what was measured.
"""

from headway.sim.predict.answer import Chance, Ordered, Point, Prediction, Spread
from headway.sim.predict.forecast import predict
from headway.sim.predict.infer import read_workload
from headway.sim.predict.workload import Estimate, Stage, Workload, estimate_workload

__all__ = [
    "Chance",
    "Estimate",
    "Ordered",
    "Point",
    "Prediction",
    "Spread",
    "Stage",
    "Workload",
    "estimate_workload",
    "predict",
    "read_workload",
]
