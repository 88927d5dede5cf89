"""Tools: tasks that a model may ask for, and running what it asks.

    from headway import tools

    @tools.tool
    async def area(country: str) -> float: ...

    results = await tools.run_calls([area], reply.samples[0].calls)

`tool` makes one of a typed function (`parameters`, `kinds`, `docstring` read what it takes), `running` runs a turn's calls,
`results` says what a model is shown, `approval` asks a person, `gate` is where guards stand, `finding` finds the right few among
thousands, `mcp` has the tools of other programs. Importing this package needs no extra.
"""

from headway.errors import ToolArgumentsError as ToolArgumentsError
from headway.tools.approval import Approval as Approval
from headway.tools.approval import Question as Question
from headway.tools.approval import ask_approval as ask_approval
from headway.tools.approval import questions as questions
from headway.tools.approval import read_approval as read_approval
from headway.tools.finding.queries import write_queries as write_queries
from headway.tools.finding.shelf import Shelf as Shelf
from headway.tools.finding.toolbox import Found as Found
from headway.tools.finding.toolbox import Toolbox as Toolbox
from headway.tools.finding.toolbox import catalogue_tokens as catalogue_tokens
from headway.tools.finding.vectors import Embedder as Embedder
from headway.tools.gate import Asked as Asked
from headway.tools.gate import Gate as Gate
from headway.tools.gate import Pass as Pass
from headway.tools.mcp.found import list_mcp_tools as list_mcp_tools
from headway.tools.mcp.servers import McpServer as McpServer
from headway.tools.parameters import Parameters as Parameters
from headway.tools.results import ToolResult as ToolResult
from headway.tools.results import show as show
from headway.tools.running import run_calls as run_calls
from headway.tools.tool import AnyTool as AnyTool
from headway.tools.tool import Labels as Labels
from headway.tools.tool import Tool as Tool
from headway.tools.tool import tool as tool
