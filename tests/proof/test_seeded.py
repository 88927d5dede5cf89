"""A seeded bug finds its code wherever that stands and however it is laid out; where it can't, it says what has become of it."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import bugs
import pytest
from anchors import Package, Unfit, replace, symbols
from seeded import Bug, Edit, Stale, bug, hunt, patched, stale


def changed(source: str, symbol: str, old: str, new: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    replace(tree, symbol, old, new)
    compile(tree, "changed", "exec")
    return ast.unparse(tree)


def same(source: str) -> str:
    return ast.unparse(ast.parse(textwrap.dedent(source)))


def check(source: str, symbol: str, old: str, new: str, wanted: str) -> None:
    assert changed(source, symbol, old, new) == same(wanted)


@pytest.fixture
def package(tmp_path):
    def write(files: dict[str, str]) -> Package:
        root = tmp_path / "pack"
        for name, source in files.items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        return Package(root)

    return write


# --- the piece -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return g(a, 'x', b=1)",
        'def f():\n    return g(\n        a,  # the first\n        "x",\n        b=1,\n    )',
        "class C: pass\ndef f():\n    if a:\n        pass\n    return (g)(a, ('x'), b=1)",
    ],
)
def test_layout_quotes_and_comments_do_not_matter(source):
    assert changed(source, "f", 'g(a, "x", b=1)', "None") == same(source).replace("g(a, 'x', b=1)", "None")


def test_only_what_the_symbol_defines_is_looked_at():
    source = "class A:\n    def f(self):\n        return x\nclass B:\n    def f(self):\n        return x\n"
    check(source, "B.f", "x", "y", "class A:\n    def f(self): return x\nclass B:\n    def f(self): return y")


def test_what_is_not_there_or_there_twice_is_refused():
    source = "def f():\n    return a.b + a.b"
    with pytest.raises(Unfit, match="occurs 2 times in f, not once"):
        changed(source, "f", "a.b", "c")
    with pytest.raises(Unfit, match=r"occurs 0 times in f, not once\. Near: `a\.b`"):
        changed(source, "f", "a.bb", "c")


def test_a_name_that_is_read_is_not_the_one_that_is_set():
    check("def f():\n    x.n = x.n + 1", "f", "x.n", "0", "def f():\n    x.n = 0 + 1")


def test_statements_that_follow_each_other_are_one_piece():
    source = "def f():\n    a()\n    if b:\n        a()\n        c()\n    c()\n"
    check(source, "f", "a()\nc()", "c()\na()", "def f():\n    a()\n    if b:\n        c()\n        a()\n    c()")
    with pytest.raises(Unfit, match="occurs 0 times"):
        changed(source, "f", "a()\nb()", "")


def test_new_code_of_several_lines_goes_as_deep_as_what_it_replaces():
    new = """
        if late:
            for x in y:
                b(x)
    """
    check(
        "def f():\n    while True:\n        a()\n", "f", "a()", new,
        "def f():\n    while True:\n        if late:\n            for x in y:\n                b(x)",
    )  # fmt: skip


def test_the_rest_of_a_block_is_kept_where_it_is_not_told():
    source = "def f():\n    if a:\n        b()\n        c()\n    else:\n        d()\n    if a:\n        e()\n"
    with pytest.raises(Unfit, match="occurs 2 times"):
        changed(source, "f", "if a: ...", "if True: ...")
    old, new = "if a:\n    b()\n    ...", "if True:\n    x()\n    ..."
    check(source, "f", old, new, source.replace("if a:\n        b()", "if True:\n        x()", 1))
    check(source, "f", "if a:\n    e()", "", source.partition("    if a:\n        e")[0])
    check(source, "f", old, "x()", "def f():\n    x()\n    if a:\n        e()")


def test_each_kept_rest_goes_back_to_its_own_place():
    source = "def f():\n    if a:\n        for x in y:\n            b()\n        c()\n"
    old, new = "if a:\n    for x in y: ...\n    ...", "if True:\n    for x in z: ...\n    ..."
    check(source, "f", old, new, "def f():\n    if True:\n        for x in z:\n            b()\n        c()\n")


def test_an_except_clause_is_a_piece():
    source = "def f():\n    try:\n        a()\n    except A as error:\n        b()\n    except B:\n        c()\n"
    check(source, "f", "except A as error: ...", "except C as error: ...", source.replace("except A", "except C"))
    check(source, "f", "except B: ...", "", source.partition("    except B")[0])


def test_nothing_takes_the_place_of_what_is_left_out():
    check("def f():\n    a()\n    b()", "f", "a()", "", "def f():\n    b()")
    check("def f():\n    a()", "f", "a()", "", "def f():\n    pass")
    check("class C:\n    x: int = 0\n    y: int = 1", "C", "x: int = 0", "", "class C:\n    y: int = 1")
    check("def f():\n    return g(a, b, k=c)", "f", "b", "", "def f():\n    return g(a, k=c)")
    check("def f():\n    return g(a, k=c)", "f", "k=c", "", "def f():\n    return g(a)")
    check("def f():\n    return a or b or c", "f", "b", "", "def f():\n    return a or c")
    check("def f():\n    return not (a or b)", "f", "b", "", "def f():\n    return not a")
    check("def f():\n    return [x for x in y if x.good]", "f", "x.good", "", "def f():\n    return [x for x in y]")
    with pytest.raises(Unfit, match="can't be left out of `a < b`"):
        changed("def f():\n    return a < b", "f", "b", "")


def test_a_keyword_argument_and_an_assignment_of_its_name_are_two_places():
    check("def f():\n    g(k=a)", "f", "k=a", "k=b", "def f():\n    g(k=b)")
    with pytest.raises(Unfit, match="occurs 2 times"):
        changed("def f():\n    k = a\n    g(k=a)", "f", "k=a", "k=b")


def test_a_decorator_and_a_default_are_pieces():
    source = "@cached(size=3)\ndef f(x, y=LEAST):\n    pass"
    check(source, "f", "cached(size=3)", "", "def f(x, y=LEAST):\n    pass")
    check(source, "f", "LEAST", "0", "@cached(size=3)\ndef f(x, y=0):\n    pass")


def test_a_statement_is_put_in_the_place_of_a_statement_only():
    check("def f():\n    g()", "f", "g()", "return 1", "def f():\n    return 1")
    with pytest.raises(Unfit, match="no expression"):
        changed("def f():\n    return g()", "f", "g()", "return 1")
    check("def f():\n    return 1", "f", "return 1", "g()", "def f():\n    g()")


def test_what_is_no_python_is_said_to_be_none():
    with pytest.raises(Unfit, match="no Python"):
        changed("def f(): pass", "f", "if self.", "")


def test_a_new_line_of_code_is_shown_at_the_line_of_the_old():
    tree = ast.parse("\n\ndef f():\n    a()\n    b()\n")
    replace(tree, "f", "b()", "x()\ny()")
    (made,) = tree.body
    assert isinstance(made, ast.FunctionDef)
    assert [statement.lineno for statement in made.body] == [4, 5, 5]


# --- the symbol ------------------------------------------------------------------------------------------------------


def test_symbols_are_named_by_what_they_are_in():
    source = """
        LEAST = 3
        x: int = 1
        class A:
            n: int
            def f(self):
                own = 1
                def g(): pass
        if x:
            def h(): pass
    """
    assert sorted(symbols(ast.parse(textwrap.dedent(source)))) == ["A", "A.f", "A.f.g", "A.n", "LEAST", "h", "x"]


def test_a_constant_is_changed_by_its_name():
    check("MOST = LEAST = 3 * 4\n", "MOST", "3 * 4", "1", "MOST = LEAST = 1")
    check("A = 3\nB = 3\n", "B", "B = 3", "B = 4", "A = 3\nB = 4")


def test_each_definition_of_a_property_is_looked_into():
    source = (
        "class A:\n    @property\n    def x(self):\n        return self._x\n    @x.setter\n    def x(self, x):\n        self._x = x"
    )
    assert changed(source, "A.x", "self._x = x", "pass") == same(source.replace("self._x = x", "pass"))


def test_a_module_may_move(package):
    code = package({"engine/bounds": "class Scope:\n    def open(self): pass", "other": "def open(): pass"})
    assert code.find("Scope.open") == "pack.engine.bounds"
    assert package({"low/deep/limits": "class Gate:\n    def open(self): pass"}).find("Gate.open") == "pack.low.deep.limits"


def test_a_name_that_two_modules_have_needs_the_end_of_its_module(package):
    code = package(dict.fromkeys(["a/load", "b/load", "b/save", "b/__init__"], "def load(): pass"))
    with pytest.raises(Unfit, match=r"4 modules define load\. Say which: a\.load:load, b:load, b\.load:load, save:load"):
        code.find("load")
    assert code.find("save:load") == "pack.b.save"
    assert code.find("a.load:load") == "pack.a.load"
    assert code.find("b:load") == "pack.b"


def test_a_symbol_that_is_gone_is_told_with_what_is_like_it(package):
    code = package({"engine": "class Engine:\n    def spawn_call(self): pass", "books": "class Books:\n    def spawn(self): pass"})
    with pytest.raises(
        Unfit, match=r"nothing defines Engine\.spawn\. Near: pack\.books:Books\.spawn, pack\.engine:Engine\.spawn_call"
    ):
        code.find("Engine.spawn")


def test_where_code_went_is_found(package):
    code = package({"a": "def f():\n    def g():\n        return x  + y\n", "b": "x + y"})
    assert code.places_of("x + y") == ["pack.a:f.g", "pack.b:"]


# --- the bug ---------------------------------------------------------------------------------------------------------


def test_a_seeded_bug_whose_symbol_is_gone_is_named_and_not_hunted():
    with pytest.raises(
        Stale, match=r"(?s)'nobody feeds the cat', at Cat\.feed: nothing defines Cat\.feed\..*looks for:\n    feed\(cat\)"
    ):
        hunt(bug("nobody feeds the cat", "Cat.feed", "feed(cat)", "pass"))


def test_a_seeded_bug_whose_code_has_moved_says_where_it_is_now():
    moved = bug("the code has moved", "Signals._take", "seq <= floor", "False")
    with pytest.raises(Stale, match=r"occurs 0 times in Signals\._take(?s:.*)It is in headway\.\S+:Replay\.why_not now"):
        patched(moved)


def test_code_that_occurs_twice_is_no_seeded_bug():
    with pytest.raises(Stale, match=r"occurs \d+ times in Engine, not once"):
        patched(bug("it is not said which", "Engine", "call._state", "None"))


def test_all_edits_of_a_bug_are_made_in_turn():
    first = Edit("hash_key", "_blake2b(data, digest_size=16)", "hashlib.sha256(data)")
    broken = Bug("in turn", (first, Edit("hash_key", "hashlib.sha256(data)", "hashlib.md5(data)")))
    (tree,) = patched(broken).values()
    assert "hashlib.md5" in ast.unparse(tree)


def test_all_stale_bugs_are_told_at_once():
    good = bug("fits", "Replay.why_not", "seq <= floor", "False")
    gone = [bug("one", "Cat.feed", "x", "y"), bug("two", "Replay.why_not", "x.y.z", "0")]
    untested = bug("three", "Replay.why_not", "seq <= floor", "True", tests="sim/test_no_such_thing.py::test_it")
    reasons = stale([good, *gone, untested])
    assert [reason.split("'")[1] for reason in reasons] == ["one", "two", "three"]
    assert "there is no test tests/sim/test_no_such_thing.py::test_it" in reasons[2]


def test_the_list_of_stale_bugs_is_a_command():
    command = [sys.executable, str(Path(__file__).with_name("bugs.py")), "--stale", "journal"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "no seeded bug is stale"), ran.stdout + ran.stderr


def test_the_list_names_each_stale_bug_and_ends_with_their_number(monkeypatch, capsys):
    gone = [bug(f"number {n}", "Replay.why_not", "x.y.z", "0") for n in range(3)]
    monkeypatch.setattr(bugs, "KNOWN", (*gone, bug("fits", "Replay.why_not", "seq <= floor", "False")))
    assert bugs.list_stale(["number"]) == 3
    said = capsys.readouterr().out
    assert all(f"seeded bug '{each}', at Replay.why_not: the code occurs 0 times" in said for each in gone)
    assert said.endswith("3 stale of 4 seeded bugs\n")
