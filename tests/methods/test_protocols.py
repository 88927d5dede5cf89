"""What a policy may answer, and that the examples of the pure floor run."""

from __future__ import annotations

import doctest
from random import Random

import pytest

import headway as hw
from headway.methods import edits, estimate, graph, persistent, protocols, records
from headway.methods.estimate import Outcomes
from headway.methods.protocols import Estimator, Policy, check_actions
from headway.methods.records import Action, View

VIEW = View(ready=("a", "b"), choices={"a": ("small", "large")}, left={"tokens": 100.0})


@pytest.mark.parametrize("module", [edits, estimate, graph, persistent, protocols, records])
def test_the_examples_run(module):
    tried = doctest.testmod(module)
    assert tried.attempted
    assert not tried.failed


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (["a"], "'a' is no action"),
        ([Action("c")], "step 'c' is not ready; ready are: a, b"),
        ([Action("a")], "step 'a' has no choice ''; it has: .'small', 'large'"),
        ([Action("b", "small")], "step 'b' has no choice 'small'"),
        ([Action("b"), Action("b", count=2)], "step 'b' is started twice"),
    ],
)
def test_what_a_policy_may_not_answer_is_one_sentence(actions, said):
    with pytest.raises(hw.UsageError, match=f"policy 'mine': {said}"):
        check_actions("mine", VIEW, actions)


def test_a_step_may_be_started_with_two_choices_at_once():
    both = [Action("a", "small"), Action("a", "large")]
    assert check_actions("mine", VIEW, both) == tuple(both)
    assert check_actions("mine", VIEW, []) == ()


def test_a_function_is_a_policy_and_outcomes_are_an_estimator():
    def greedy(view: View, rng: Random) -> list[Action]:
        return [Action(step, rng.choice(view.choices.get(step, ("",)))) for step in view.ready]

    policy: Policy = greedy
    estimator: Estimator = Outcomes()
    actions = check_actions(policy, VIEW, policy(VIEW, Random(1)))
    assert [estimator.predict(action).success.mean for action in actions] == [0.5, 0.5]
