"""Methods of parallel tasks: planners that turn a question into a graph that runs while it is planned.

`lines` reads a plan of numbered lines while a model writes it.
"""

from headway.methods.plan.line_grammar import line_grammar as line_grammar
from headway.methods.plan.lines import LineError as LineError
from headway.methods.plan.lines import PlanReader as PlanReader
from headway.methods.plan.lines import Use as Use
from headway.methods.plan.lines import read_plan as read_plan
from headway.methods.plan.literals import Ref as Ref
from headway.methods.plan.literals import Template as Template
