"""Seeded bugs of guards: a secret that is kept, an effect without approval."""

from __future__ import annotations

from seeded import Bug, bug

VAULT = "methods/guard/test_vault.py::"
APART = "methods/guard/test_separation.py::"

OF_GUARDS: tuple[Bug, ...] = (
    bug(
        "a guarded tool's result keeps its secret",
        "Filler.clean",
        "clean_result(self.cleaner, value, self.name, pickled=self.pickled)",
        "value",
        tests=f"{VAULT}test_a_tool_is_given_the_secret_and_nothing_that_is_kept_shows_it",
    ),
    bug(
        "a guarded tool's error keeps its secret",
        "Filler.clean_error",
        "clean_error(self.cleaner, error)",
        "error",
        tests=f"{VAULT}test_an_error_with_the_secret_in_all_its_places_is_cleaned",
    ),
    bug(
        "a tool that was given a secret makes calls that record it",
        "Engine.spawn",
        "if parent.spec.leaf: ...",
        "",
        tests=f"{VAULT}test_a_tool_that_was_given_a_secret_can_make_no_call_that_would_record_it",
    ),
    bug(
        "a secret is filled in where it was not allowed",
        "_FilledParameters._check",
        "secret in self._rules.get(parameter, ())",
        "secret in self._vault",
        tests=f"{VAULT}test_a_secret_is_refused_where_it_was_not_allowed",
    ),
    bug(
        "an effect after a stranger's text needs no approval",
        "_Border._decide",
        "tool.labels.effect and self._read",
        "False",
        tests=f"{APART}test_a_call_that_nobody_answers_waits_and_does_nothing",
    ),
    bug(
        "a gate is not asked before calls begin",
        "running:run_calls",
        "admit_all(gate, looked_at)",
        "admit_all(None, looked_at)",
        tests="methods/guard/test_monitor.py::test_in_a_turn_only_the_steps_before_the_halt_are_run",
    ),
)
