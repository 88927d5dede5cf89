"""Seeded bugs of what other people's frameworks stand on."""

from __future__ import annotations

from seeded import Bug, bug

_AGENTS = "integrations/test_pydantic_ai.py"
_UNITS = "integrations/test_pydantic_ai_units.py"
_THREADS = "integrations/test_langgraph.py"

OF_FRAMEWORKS: tuple[Bug, ...] = (
    bug(
        "a turn is named by the time at which it was asked",
        "asked:NOT_READ",
        '{"timestamp", "run_id", "conversation_id", "metadata"}',
        '{"run_id", "conversation_id", "metadata"}',
        tests=f"{_AGENTS}::test_a_resumed_agent_repeats_no_turn_and_no_tool_call_that_was_recorded",
    ),
    bug(
        "what a unit asks does not name it",
        "UnitBackend.execute",
        "digest_of(asked)",
        "operation_id.__class__.__name__",
        tests=f"{_AGENTS}::test_another_prompt_is_asked_and_the_same_one_is_not",
    ),
    bug(
        "a tool starts before what it was asked by is durable",
        "UnitBackend.execute",
        'config.get("effect", isinstance(operation_id, ToolsetCallToolId))',
        'config.get("effect", False)',
        tests=f"{_UNITS}::test_a_tool_starts_when_what_it_was_asked_by_is_durable_unless_it_only_reads",
    ),
    bug(
        "a turn reserves nothing",
        "Turn.reserved",
        '{"tokens": float(most.tokens)} | ({} if self.price is None else {"money": self.price.at_most(most)})',
        "{}",
        tests=f"{_UNITS}::test_a_turn_that_may_overdraw_a_budget_is_not_asked",
    ),
    bug(
        "a turn is not charged",
        "Unit.run",
        "charge(**self.turn.spent(payload))",
        "pass",
        tests=f"{_UNITS}::test_tokens_and_money_of_turns_are_charged_to_the_budgets_around_the_agent",
    ),
    bug(
        "a process does not read what another one appended before it",
        "Shelf.append",
        "first == thread.size",
        "True",
        tests=f"{_THREADS}::test_what_another_process_wrote_first_stays_for_all_of_them",
    ),
    bug(
        "a list that has become shorter counts as the same",
        "ThreadRecords.holder",
        "self._same_form(base, channel, form) == parts",
        "(self._same_form(base, channel, form) or [])[: len(parts)] == parts",
        tests=f"{_THREADS}::test_lists_that_grow_shrink_and_change_anywhere_come_back_as_they_were",
    ),
    bug(
        "what a task wrote is written over",
        "ThreadRecords.add",
        "at < 0 or old is None or not self.is_made(old)",
        "True",
        tests=f"{_THREADS}::test_what_another_process_wrote_first_stays_for_all_of_them",
    ),
    bug(
        "a deleted thread stays in the store",
        "Shelf.keep_only",
        "self._store.erase_items(thread.name, until)",
        "pass",
        tests=f"{_THREADS}::test_what_is_deleted_is_gone_from_the_store",
    ),
    bug(
        "a checkpoint is built on one that is gone",
        "HeadwaySaver.put",
        'thread.number_of.get((ns or "", checkpoint["id"])) != at or thread.is_whole(at)',
        "True",
        tests=f"{_THREADS}::test_a_checkpoint_is_whole_though_another_process_prunes_what_it_is_made_of",
    ),
)
