"""Says where an MCP server is, and what is believed of its tools.

A server is data. It is opened where one of its tools is called (`connections.py`), so a resumed run whose calls are all recorded
opens none. Its name stands for it in the keys of its calls; its address, its environment and its headers are no part of them, and
are not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from headway.errors import UsageError
from headway.extras import require

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class McpServer:
    """An MCP server (extra `mcp`), as a program that is started here, as an address, or as an object in this process.

    Tools of a server count as effects, because nobody can know what they do: after a crash they are not called again, and the model
    is told that nobody knows whether the call came through. Say which only read; those are tried again.

    Attributes:
        name: what stands for it in keys and records: up to 32 letters, digits, `_` and `-`.
        command: the program and its arguments; it speaks on its standard input and output.
        url: where it listens, as `http://host:8000/mcp`.
        target: an `mcp.server.MCPServer` of this process.
        env: environment variables of the program. It inherits only HOME, LOGNAME, PATH, SHELL, TERM and USER besides.
        cwd: the folder that the program starts in.
        headers: sent with every request to `url`.
        read_only: the tools that change nothing, by name; "declared" believes what the server says of them (`readOnlyHint`).
        reads_untrusted: whether its answers may hold text of strangers.
        needs_approval: the tools that a person must allow, by name; True for all.
        timeout: seconds for which a call may be silent; progress counts as a sound. The call fails then.

    Raises:
        UsageError: without the extra, for no address or several, and for values that make no sense.

    Example:
        >>> from headway import tools
        >>> tools.McpServer(name="files", command=["npx", "@modelcontextprotocol/server-filesystem", "."], read_only=["read_file"])
        McpServer('files')
    """

    name: str
    command: Sequence[str] = ()
    url: str = ""
    target: Any = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    read_only: Collection[str] | Literal["declared"] = ()
    reads_untrusted: bool = True
    needs_approval: Collection[str] | bool = False
    timeout: float = TIMEOUT_S

    def __post_init__(self) -> None:
        require("tools.McpServer", "mcp", "jsonschema")
        what = f"tools.McpServer({self.name!r:.80})"
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise UsageError(f"{what}: a name is up to 32 letters, digits, _ and -")
        if isinstance(self.command, str):
            raise UsageError(f"{what}: command={self.command!r:.80} is one text; give the program and its arguments as a list")
        given = [kind for kind in ("command", "url", "target") if (value := getattr(self, kind)) is not None and value]
        if len(given) != 1:
            raise UsageError(f"{what}: give one of command, url and target{f', not {chr(32).join(given)}' if given else ''}")
        if self.url and not (urlsplit(self.url).scheme in ("http", "https") and urlsplit(self.url).hostname):
            raise UsageError(f"{what}: url={self.url.rpartition('@')[2]!r:.80} is no address: write http://host:8000/mcp")
        if self.headers and not self.url:
            raise UsageError(f"{what}: headers are for a url")
        if (self.env or self.cwd) and not self.command:
            raise UsageError(f"{what}: env and cwd are for a command")
        if isinstance(self.read_only, str) and self.read_only != "declared":
            raise UsageError(f"{what}: read_only={self.read_only!r}: the names of tools as a list, or 'declared'")
        if isinstance(self.needs_approval, str):
            raise UsageError(f"{what}: needs_approval={self.needs_approval!r}: the names of tools as a list, or True")
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float) or not self.timeout > 0:
            raise UsageError(f"{what}: timeout={self.timeout!r:.80}: seconds, above zero")

    def __headway_key__(self) -> object:
        return ("mcp", self.name)

    def __hash__(self) -> int:
        return hash(("mcp", self.name))

    def __repr__(self) -> str:
        return f"McpServer({self.name!r})"  # what it is started with may be secret

    def reads_only(self, tool: str, declared: bool) -> bool:
        """Whether a tool is believed to change nothing.

        Args:
            tool: its name.
            declared: what the server says.

        Returns:
            The answer.
        """
        return declared if self.read_only == "declared" else tool in self.read_only

    def asks_first(self, tool: str) -> bool:
        """Whether a person must allow the calls of a tool.

        Args:
            tool: its name.

        Returns:
            The answer.
        """
        return self.needs_approval if isinstance(self.needs_approval, bool) else tool in self.needs_approval
