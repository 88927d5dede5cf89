"""What agents and programs remember from run to run.

    from headway.methods.memory import Case, Memory, memory_tools

`memory` is the durable memory, `book` what it holds at a version (a pure fold), `words` and `vectors` what it is searched by,
`records` what goes in and comes out, `tools` lets a model remember and recall. `actions/` records what a task did and replays it;
`tasks` is a tree of a task's parts of which a model is shown the active path.
"""

from headway.methods.memory.actions.choosing import Chosen as Chosen
from headway.methods.memory.actions.choosing import Rules as Rules
from headway.methods.memory.actions.choosing import World as World
from headway.methods.memory.actions.kept import load_tree as load_tree
from headway.methods.memory.actions.kept import save_trace as save_trace
from headway.methods.memory.actions.likeness import ByVectors as ByVectors
from headway.methods.memory.actions.likeness import by_words as by_words
from headway.methods.memory.actions.replaying import Replayed as Replayed
from headway.methods.memory.actions.replaying import replay as replay
from headway.methods.memory.actions.tree import Step as Step
from headway.methods.memory.actions.tree import Trace as Trace
from headway.methods.memory.actions.tree import Tree as Tree
from headway.methods.memory.actions.tree import boxes_meet as boxes_meet
from headway.methods.memory.memory import Memory as Memory
from headway.methods.memory.records import Case as Case
from headway.methods.memory.records import CaseChanged as CaseChanged
from headway.methods.memory.records import Edit as Edit
from headway.methods.memory.records import Hit as Hit
from headway.methods.memory.records import Recalled as Recalled
from headway.methods.memory.records import UnknownCase as UnknownCase
from headway.methods.memory.shared_tasks import SharedTasks as SharedTasks
from headway.methods.memory.tasks import Slot as Slot
from headway.methods.memory.tasks import TaskTree as TaskTree
from headway.methods.memory.tasks import redo as redo
from headway.methods.memory.tools import memory_tools as memory_tools
