"""Seeded bugs of errors and of stops: what fails a call fails nothing else, every life is told the same, and every stop ends."""

from __future__ import annotations

from seeded import Bug, bug

FAULTS, OUTCOME = "journal/faults.py", "engine/outcome.py"
_ODD = "program/test_odd_errors.py"

ERRORS: tuple[Bug, ...] = (
    bug(
        "what is no Exception passes through every caller and ends the run",
        OUTCOME,
        "        if issubclass(kind, Exception) or (issubclass",
        "        if True or (issubclass",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "the first life is told an error that no later one can be told",
        OUTCOME,
        "            record, call._error = keep_error(error)\n",
        "            record, call._error = keep_error(error).record, error\n",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "an error that is made again says what its class makes of it",
        FAULTS,
        "    return record if plain else msgspec.structs.replace(record, pinned=True)\n",
        "    return record\n",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "an error whose class is not loaded is caught by nothing that it was a kind of",
        FAULTS,
        "bases=kept.bases if kept else [] if cls in _PYTHONS_OWN else real_bases(cls),",
        "bases=[],",
        tests=f"{_ODD}::test_a_resumed_program_sees_of_an_error_what_it_saw_before",
    ),
    bug(
        "a retry that can't decide ends the run",
        "engine/engine.py",
        "            except UsageError as wrong:  # what the task's retry asks has failed\n",
        "            except ZeroDivisionError as wrong:\n",
        tests="program/test_given_functions.py::test_a_predicate_that_fails_fails_its_call_and_its_siblings_go_on",
    ),
)

OF_STOPS = (*ERRORS,)
