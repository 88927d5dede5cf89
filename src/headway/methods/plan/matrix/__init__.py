"""Tables filled by many sub-agents, and what tables and piles of texts are worth.

    from headway.methods.plan.matrix import a_mapreduce, score_table, find_subpopulations

`amapreduce` fills a table: `deciding` is what its orchestrator decides and what follows from it, `filling` a batch as a call, and
`model_parts` makes both parts from a model. `table` and `cells` are tables and how cells are compared, `widesearch` scores a table.
`ssd` finds what texts differ in, and `slices` where failures gather.
"""

from headway.methods.plan.matrix.amapreduce import TableFilled as TableFilled
from headway.methods.plan.matrix.amapreduce import a_mapreduce as a_mapreduce
from headway.methods.plan.matrix.deciding import Batch as Batch
from headway.methods.plan.matrix.deciding import Field as Field
from headway.methods.plan.matrix.deciding import Matrix as Matrix
from headway.methods.plan.matrix.deciding import describe_matrix as describe_matrix
from headway.methods.plan.matrix.filling import BatchEnd as BatchEnd
from headway.methods.plan.matrix.model_parts import agent_worker as agent_worker
from headway.methods.plan.matrix.model_parts import ask_orchestrator as ask_orchestrator
from headway.methods.plan.matrix.model_parts import model_worker as model_worker
from headway.methods.plan.matrix.slices import Slice as Slice
from headway.methods.plan.matrix.slices import find_slices as find_slices
from headway.methods.plan.matrix.slices import read_outcomes as read_outcomes
from headway.methods.plan.matrix.ssd import Dimension as Dimension
from headway.methods.plan.matrix.ssd import Structure as Structure
from headway.methods.plan.matrix.ssd import find_subpopulations as find_subpopulations
from headway.methods.plan.matrix.table import Table as Table
from headway.methods.plan.matrix.table import read_table as read_table
from headway.methods.plan.matrix.table import write_table as write_table
from headway.methods.plan.matrix.widesearch import Column as Column
from headway.methods.plan.matrix.widesearch import Marking as Marking
from headway.methods.plan.matrix.widesearch import Marks as Marks
from headway.methods.plan.matrix.widesearch import TableScore as TableScore
from headway.methods.plan.matrix.widesearch import TrialScores as TrialScores
from headway.methods.plan.matrix.widesearch import judge_table as judge_table
from headway.methods.plan.matrix.widesearch import score_table as score_table
from headway.methods.plan.matrix.widesearch import score_trials as score_trials
