"""Methods of parallel tasks: planners that turn a question into a graph that runs while it is planned.

`lines` reads a plan of numbered lines while a model writes it.
"""

from headway.methods.plan.compiler import Compiled as Compiled
from headway.methods.plan.compiler import llm_compiler as llm_compiler
from headway.methods.plan.joining import Finish as Finish
from headway.methods.plan.joining import Joiner as Joiner
from headway.methods.plan.joining import Replan as Replan
from headway.methods.plan.joining import ask_joiner as ask_joiner
from headway.methods.plan.joining import last_result as last_result
from headway.methods.plan.line_grammar import line_grammar as line_grammar
from headway.methods.plan.lines import LineError as LineError
from headway.methods.plan.lines import PlanReader as PlanReader
from headway.methods.plan.lines import Use as Use
from headway.methods.plan.lines import read_plan as read_plan
from headway.methods.plan.literals import Ref as Ref
from headway.methods.plan.literals import Template as Template
from headway.methods.plan.so_far import Line as Line
from headway.methods.plan.so_far import SoFar as SoFar
from headway.methods.plan.so_far import planner_prompt as planner_prompt
from headway.methods.plan.using import STEP_ERRORS as STEP_ERRORS
from headway.methods.plan.using import StepFailed as StepFailed
from headway.methods.plan.using import use_tools as use_tools
from headway.methods.plan.writing import write_lines as write_lines
