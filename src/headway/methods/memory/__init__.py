"""What agents and programs remember from run to run.

    from headway.methods.memory import Case, Memory, memory_tools

`memory` is the durable memory, `book` what it holds at a version (a pure fold), `words` and `vectors` what it is searched by, `records`
what goes in and comes out, `tools` lets a model remember and recall. `actions/` records what a task did and replays it; `tasks` is a
tree of a task's parts of which a model is shown the active path.
"""

from headway.methods.memory.memory import Memory as Memory
from headway.methods.memory.records import Case as Case
from headway.methods.memory.records import CaseChanged as CaseChanged
from headway.methods.memory.records import Edit as Edit
from headway.methods.memory.records import Hit as Hit
from headway.methods.memory.records import Recalled as Recalled
from headway.methods.memory.records import UnknownCase as UnknownCase
