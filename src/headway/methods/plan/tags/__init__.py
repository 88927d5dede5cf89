"""Models that start and join parallel work by tags in their text.

    thread = await apr(models.open("countdown-search"), "20 19 16 3 => 87\\n")

`reading` reads tags in a text that comes in pieces, for all of them; `writing` lets a model write on until a tag closes, and
counts. `apr` starts helpers that see a line of their parent, `multiverse` paths that see all that was written, `unified` experts.
"""

from headway.methods.plan.tags.apr import Speech as Speech
from headway.methods.plan.tags.apr import Thread as Thread
from headway.methods.plan.tags.apr import apr as apr
from headway.methods.plan.tags.multiverse import Woven as Woven
from headway.methods.plan.tags.multiverse import multiverse as multiverse
from headway.methods.plan.tags.reading import Block as Block
from headway.methods.plan.tags.reading import Closed as Closed
from headway.methods.plan.tags.reading import Opened as Opened
from headway.methods.plan.tags.reading import Said as Said
from headway.methods.plan.tags.reading import TagReader as TagReader
from headway.methods.plan.tags.reading import quote as quote
from headway.methods.plan.tags.reading import read_blocks as read_blocks
from headway.methods.plan.tags.unified import Marked as Marked
from headway.methods.plan.tags.unified import Routed as Routed
from headway.methods.plan.tags.unified import Unified as Unified
from headway.methods.plan.tags.unified import unified as unified
from headway.methods.plan.tags.writing import Spent as Spent
