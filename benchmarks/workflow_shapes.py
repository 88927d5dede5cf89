"""Makes the shapes of scientific workflows that `headway bench allocate` runs on.

    pip install wfcommons==1.6       # in an environment of its own: LGPL, and never needed to run the benchmark
    python benchmarks/workflow_shapes.py > src/headway/bench/allocate/shapes.json

WfCommons (Coleman et al., "WfCommons: a framework for enabling scientific workflow research and development", 2022) makes graphs
like those of recorded executions. Only the shape is kept: for each task, in an order in which each comes after what it needs, the
places of the tasks that it needs.
"""

from __future__ import annotations

import json
import logging
import random

SIZES = {"srasearch": 25, "epigenomics": 45, "genome": 60, "montage": 60}


def make_shape(name: str, tasks: int) -> list[list[int]]:
    """The needs of each task, by places."""
    import networkx
    import numpy as np
    from wfcommons import WorkflowGenerator
    from wfcommons.wfchef import recipes

    random.seed(1)
    np.random.seed(1)
    graph = WorkflowGenerator(getattr(recipes, f"{name.title()}Recipe").from_num_tasks(tasks)).build_workflow()
    order = list(networkx.lexicographical_topological_sort(graph))
    places = {task: place for place, task in enumerate(order)}
    return [sorted(places[task] for task in graph.predecessors(each)) for each in order]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    made = {
        "provenance": "WfCommons 1.6 (wfcommons.org), recipes of WfInstances; made by benchmarks/workflow_shapes.py, seed 1",
        "graphs": {name: make_shape(name, tasks) for name, tasks in SIZES.items()},
    }
    print(json.dumps(made, separators=(",", ":")))
