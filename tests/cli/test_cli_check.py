"""`headway check`: a table for people, a document for programs, and an exit code for scripts."""

from __future__ import annotations

PROGRAM = """
import time
import headway as hw

@hw.task
async def leaf(x: int, word: str = "") -> int:
    return x

@hw.task
async def sound(x: int, *, word: str = "a") -> int:
    return await leaf(x, word)

@hw.task
async def hasty() -> int:
    return await leaf(int(time.time()))
"""


def test_a_sound_program_ends_with_zero_and_writes_no_store(folder):
    (folder.path / "checked_cli.py").write_text(PROGRAM)
    said = folder.headway("check", "checked_cli.py:sound", "3", "--kw", "word=b", "--schedules", "3")
    assert said.code == 0, said.err
    assert "checked_cli.sound: 2 calls, 3 schedules" in said.out
    assert "Nothing found that loses or repeats work." in said.out
    assert not (folder.path / ".headway").exists()


def test_a_fault_is_told_and_ends_with_one(folder):
    (folder.path / "hasty_cli.py").write_text(PROGRAM)
    said = folder.headway("check", "hasty_cli.py:hasty", "--schedules", "1")
    assert said.code == 1
    assert "arguments change on resume" in said.out
    assert "hw.now()" in said.out
    assert "1 to mend." in said.out


def test_a_document_for_programs(folder):
    (folder.path / "document_cli.py").write_text(PROGRAM)
    said = folder.headway("check", "document_cli.py:hasty", "--schedules", "1", "--json")
    assert said.code == 1
    document = said.json
    assert not document["ok"]
    assert document["findings"][0]["kind"] == "arguments change on resume"


def test_answers_of_a_run_that_is_not_there_are_an_error_in_a_sentence(folder):
    (folder.path / "answers_cli.py").write_text(PROGRAM)
    assert folder.headway("run", "answers_cli.py:sound", "3", "--run-id", "there").code == 0
    said = folder.headway("check", "answers_cli.py:sound", "3", "--answers", "their")
    assert said.code == 3
    assert "did you mean 'there'?" in said.err
    assert folder.headway("check", "answers_cli.py:sound", "3", "--answers", "there", "--schedules", "2").code == 0
