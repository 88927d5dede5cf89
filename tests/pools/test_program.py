"""Programs loaded by file, and functions found again by name."""

import functools
import sys

import jobs
import pytest
from poolbench import JOBS

from headway.errors import UsageError
from headway.pools.base import FunctionRef
from headway.pools.program import function_ref, load_object, load_program, resolve


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_program_is_loaded_once_under_its_stem_and_sees_its_folder(tmp_path):
    write(tmp_path, "a_helper.py", "x = 1\n")
    path = write(tmp_path, "a_program.py", "import a_helper\ndef f(): return a_helper.x\n")
    module = load_program(path)
    assert module.__name__ == "a_program"
    assert sys.modules["a_program"] is module
    assert load_program(tmp_path / ".." / tmp_path.name / "a_program.py") is module
    assert load_object(f"{path}:f")() == 1


def test_the_main_program_is_not_loaded_a_second_time(tmp_path, monkeypatch):
    path = write(tmp_path, "a_main.py", "")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", path, raising=False)
    assert load_program(path) is sys.modules["__main__"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("broken.py", "def f(:\n", "broken.py, line 1: "),
        ("raises.py", "import no_such_thing\n", "raises.py cannot be loaded: ModuleNotFoundError: No module named"),
        ("json.py", "", "has the name of the module 'json'"),
        ("two.dots.py", "", "rename it to a plain name"),
        ("data.txt", "", "rename it to a plain name"),
    ],
)
def test_a_program_that_cannot_be_loaded_says_why(tmp_path, name, text, words):
    with pytest.raises(UsageError) as caught:
        load_program(write(tmp_path, name, text))
    assert words in str(caught.value)
    assert "broken" not in sys.modules
    assert "raises" not in sys.modules


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nothing.py:f", "there is no program file 'nothing.py'"),
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("prog.py", "write program.py:task"),
        (":f", "write program.py:task"),
        (f"{JOBS}:ecko", "did you mean 'echo'?"),
        (f"{JOBS}:zzzzzz", "its tasks are decorated"),
    ],
)
def test_a_target_that_cannot_be_found_says_which_half(target, words):
    with pytest.raises(UsageError) as caught:
        load_object(target)
    assert words in str(caught.value)


def test_an_import_that_fails_inside_a_module_is_not_blamed_on_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "a_module.py", "import no_such_thing\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        load_object("a_module:f")


def test_a_reference_finds_the_plain_function_again():
    assert function_ref(jobs.echo) == FunctionRef("jobs", "echo", str(JOBS))
    assert resolve(function_ref(jobs.echo)) is jobs.echo
    assert resolve(function_ref(jobs.decorated.fn)) is jobs.decorated.fn
    assert resolve(function_ref(jobs.Holder.method)) is jobs.Holder.method
    assert resolve(FunctionRef("os.path", "join"))("a", "b")


def test_a_decorator_above_the_task_is_looked_through(monkeypatch):
    plain = jobs.decorated.fn

    @functools.wraps(plain)
    def wrapper(value):
        raise AssertionError

    wrapper.__wrapped__ = jobs.decorated
    monkeypatch.setattr(jobs, "decorated", wrapper)
    assert resolve(FunctionRef("jobs", "decorated")) is plain


def test_functions_of_this_process_alone_are_refused(monkeypatch):
    def local(): ...

    for fn, words in [(local, "<locals>"), (lambda: 1, "a lambda"), (functools.partial(local), "defined in a module")]:
        with pytest.raises(UsageError, match=words):
            function_ref(fn)
    monkeypatch.setattr(jobs.echo, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    with pytest.raises(UsageError, match="defined interactively"):
        function_ref(jobs.echo)


def test_what_is_no_function_is_refused():
    with pytest.raises(UsageError, match="is module, not a function"):
        resolve(FunctionRef("jobs", "np", str(JOBS)))
