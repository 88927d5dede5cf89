"""Seeded bugs of memories: what is kept once, forgotten, replayed."""

from __future__ import annotations

from seeded import Bug, bug

_MEMORY = "methods/memory/test_memory.py"
_AS_OF = "methods/memory/test_memory_as_of.py"
_REPLAY = "methods/memory/test_replaying.py"

OF_MEMORY: tuple[Bug, ...] = (
    bug(
        "a forgotten case comes back",
        "Book._forget",
        "self._take_off(old)",
        "pass",
        tests=f"{_MEMORY}::test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free",
    ),
    bug(
        "what was forgotten stays in the store",
        "memory.calls:write",
        "await collecting.erase(collection, gone)",
        "pass",
        tests=f"{_MEMORY}::test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free",
    ),
    bug(
        "a case that is put in is written twice",
        "Memory._write",
        "await write(self.name, record)",
        "(await write(self.name, record), await write(self.name, record))[0]",
        tests="methods/memory/test_memory_survives.py::test_a_run_that_is_killed_at_any_record_writes_each_record_once",
    ),
    bug(
        "a pinned memory shows what others write",
        "Book.read",
        "self._as_of is None or entry.number < self._as_of or entry.is_own",
        "True",
        tests=f"{_AS_OF}::test_a_fork_sees_the_memory_of_the_time_at_which_it_begins",
    ),
    bug(
        "a fork remembers its source's future",
        "following:_lineage",
        "min(before, made)",
        "before",
        tests=f"{_AS_OF}::test_a_fork_sees_the_memory_of_the_time_at_which_it_begins",
    ),
    bug(
        "an edit that came too late takes effect",
        "Book._written",
        "record.expects is not None and kept.hit.number != record.expects",
        "False",
        tests=f"{_MEMORY}::test_of_two_updates_made_from_the_same_hit_the_second_is_refused",
    ),
    bug(
        "what a model remembers counts as trusted",
        "memory.tools:remember",
        "untrusted=untrusted",
        "untrusted=False",
        tests="methods/memory/test_memory_tools.py::test_what_an_agent_remembers_another_run_recalls_as_data",
    ),
    bug(
        "a step is replayed without its guard",
        "choosing:choose",
        "world.same_look(step.look, world.target(view, step.action))",
        "True",
        tests=f"{_REPLAY}::test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned",
    ),
    bug(
        "a failed task stays in the tree",
        "replaying:_sum_up",
        "tree.remove(trace.task) if failed else tree.add(trace)",
        "tree.add(trace)",
        tests=f"{_REPLAY}::test_a_failed_task_is_taken_out_of_the_tree",
    ),
    bug(
        "what depends on an edit of a task tree is left as it was",
        "TaskTree.apply",
        "_behind(graph, slots)",
        "()",
        tests="methods/memory/test_task_tree.py::test_a_replaced_value_is_history_and_all_that_depends_on_it_is_stale",
    ),
)
