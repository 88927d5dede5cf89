"""Ten tools of an assistant, for a scratch folder that it is given. Two more come from a server far away (`server.py`).

A tool that fails raises an error in words that a model can do something with. What changes the world is an effect, so it is never
done twice; a letter needs the word of a person besides.
"""

from __future__ import annotations

import ast
import operator
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

import headway as hw
from assistant import atlas
from headway import tools

FOLDER = Path("scratch")  # set by the program that works with these tools
FILE_BYTES = 100_000
NOTES = "Fix the roof.\nAsk Ada about the harvest.\nBuy seeds for spring.\n"

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}$", description="a file's name, as notes.txt")]


# --- files and a shell in the scratch folder --------------------------------------------------------------------------


@tools.tool
def list_files() -> list[str]:
    """List the names of all files in the folder."""
    return _names()


def _names() -> list[str]:
    return sorted(file.name for file in FOLDER.iterdir())


@tools.tool
def read_file(name: FileName) -> str:
    """Read a text file.

    Args:
        name: the file.
    """
    file = FOLDER / name
    if not file.is_file():
        raise LookupError(f"there is no file {name}; there are {', '.join(_names())}")
    return file.read_bytes()[:FILE_BYTES].decode(errors="replace")


@tools.tool(effect=True)
def write_file(name: FileName, text: str) -> str:
    """Write a text to a file, in place of what it held.

    Args:
        name: the file.
        text: all that it is to hold.
    """
    (FOLDER / name).write_text(text[:FILE_BYTES])
    note_effect(f"wrote {name}")
    return f"{name} is written"


ALLOWED = {"ls", "cat", "wc", "sort", "head", "tail", "uniq", "grep"}
_WORD = re.compile(r"-[A-Za-z0-9]{1,4}|[A-Za-z0-9_][A-Za-z0-9_. -]{0,40}")


@tools.tool
def run_command(command: str) -> str:
    """Run a command in the folder: ls, cat, wc, sort, head, tail, uniq or grep.

    Args:
        command: the command with its options and files, as wc -l notes.txt
    """
    words = shlex.split(command)
    if not words or words[0] not in ALLOWED:
        raise PermissionError(f"{words[0] if words else 'nothing'} is not allowed; allowed are {', '.join(sorted(ALLOWED))}")
    for word in words[1:]:
        if not _WORD.fullmatch(word) or (words[0] == "sort" and word.startswith("-") and set(word) & set("oT")):
            raise PermissionError(f"{word!r} is not allowed: options of one dash, and files of the folder by their names")
    done = subprocess.run(
        words,
        cwd=FOLDER,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
    )
    if done.returncode > 1 or done.stderr:
        raise RuntimeError(done.stderr.strip() or f"it ended with {done.returncode}")
    return done.stdout.strip()


# --- the atlas --------------------------------------------------------------------------------------------------------


@tools.tool
def country_facts(country: str) -> dict[str, Any]:
    """The capital, the population, the area in km2 and the currency of a country.

    Args:
        country: its name in English.
    """
    found = atlas.find_country(country)
    capital = atlas.ask("SELECT name FROM capital WHERE country_id = ? ORDER BY is_primary DESC", found["id"])
    return {
        "name": found["name"],
        "capital": capital[0]["name"] if capital else None,
        "population": found["population"],
        "area_km2": found["total_area_km2"],
        "currency": found["currency_name"],
    }


@tools.tool
def bordering_countries(country: str) -> list[str]:
    """The countries that border a country: its neighbours.

    Args:
        country: its name in English.
    """
    number = atlas.find_country(country)["id"]
    found = atlas.ask(
        "SELECT name FROM country_border JOIN country ON country.id = country1_id + country2_id - ?1 "
        "WHERE ?1 IN (country1_id, country2_id) ORDER BY name",
        number,
    )
    return [row["name"] for row in found]


@tools.tool
def largest_cities(country: str, count: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3) -> list[dict[str, Any]]:
    """The largest cities of a country, with their populations.

    Args:
        country: its name in English.
        count: how many.
    """
    number = atlas.find_country(country)["id"]
    return atlas.ask("SELECT name, population FROM city WHERE country_id = ? ORDER BY population DESC LIMIT ?", number, count)


# --- arithmetic -------------------------------------------------------------------------------------------------------

_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}


@tools.tool
async def calculate(expression: str) -> float:
    """Work out an arithmetic expression.

    Args:
        expression: numbers, brackets and + - * / %, as 17 * 23
    """
    return _value(ast.parse(expression[:500].replace("×", "*"), mode="eval").body)


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    raise ValueError("an expression has numbers, brackets and + - * / % and nothing else")


@tools.tool
async def average(numbers: Annotated[list[float], msgspec.Meta(min_length=1)]) -> float:
    """The average of some numbers.

    Args:
        numbers: the numbers.
    """
    return statistics.fmean(numbers)


# --- letters ----------------------------------------------------------------------------------------------------------


@tools.tool(effect=True, needs_approval=True)
def send_letter(to: str, text: str) -> str:
    """Send a letter to somebody.

    Args:
        to: the address.
        text: what the letter says.
    """
    with (FOLDER / "outbox.txt").open("a") as outbox:
        outbox.write(f"to {to}: {text}\n")
    note_effect(f"sent a letter to {to}")
    return f"the letter to {to} is sent"


def note_effect(what: str) -> None:
    """Keep a list of all effects outside of the journal, so that anybody can see that none was done twice."""
    with (FOLDER.parent / "effects.txt").open("a") as effects:
        effects.write(f"{hw.call().idempotency_key} {what}\n")


OWN = (
    list_files,
    read_file,
    write_file,
    run_command,
    country_facts,
    bordering_countries,
    largest_cities,
    calculate,
    average,
    send_letter,
)


def far_atlas() -> tools.McpServer:
    """A server of an atlas far away: slow, and it fails now and then. It has two tools."""
    command = [sys.executable, str(Path(__file__).parent / "server.py"), str(FOLDER.parent / "server")]
    return tools.McpServer(name="far_atlas", command=command, read_only="declared", timeout=20)
