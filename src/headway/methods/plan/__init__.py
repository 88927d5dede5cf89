"""Plans: a question becomes a graph of steps, which runs while it is still being planned.

All of these methods share one graph (`methods.graph`), whose edits are data, and one executor (`execute`), which reads the
planner's edits as they are thought of and starts each step as soon as what it needs is there. What came of a step may change the
rest of the plan; what has started can't change.

A planner proposes and never acts: only the caller's `step` does, and each step is a call, journaled and budgeted. So what a tool
answers reaches a planner only where the caller's planner looks at results.
"""

from headway.methods.plan.accuracy import loose_accuracy as loose_accuracy
from headway.methods.plan.accuracy import strict_accuracy as strict_accuracy
from headway.methods.plan.deps import Why as Why
from headway.methods.plan.deps import deps as deps
from headway.methods.plan.deps import nearest_first as nearest_first
from headway.methods.plan.dta import Aggregated as Aggregated
from headway.methods.plan.dta import by_levels as by_levels
from headway.methods.plan.dta import divide_then_aggregate as divide_then_aggregate
from headway.methods.plan.executor import execute as execute
from headway.methods.plan.galaxy import Device as Device
from headway.methods.plan.galaxy import LeastBusy as LeastBusy
from headway.methods.plan.galaxy import LineKind as LineKind
from headway.methods.plan.galaxy import Parallelism as Parallelism
from headway.methods.plan.galaxy import galaxy as galaxy
from headway.methods.plan.galaxy import line as line
from headway.methods.plan.galaxy import measure_parallelism as measure_parallelism
from headway.methods.plan.lines.compiler import Compiled as Compiled
from headway.methods.plan.lines.compiler import llm_compiler as llm_compiler
from headway.methods.plan.lines.grammar import line_grammar as line_grammar
from headway.methods.plan.lines.joining import Finish as Finish
from headway.methods.plan.lines.joining import Joiner as Joiner
from headway.methods.plan.lines.joining import Replan as Replan
from headway.methods.plan.lines.joining import ask_joiner as ask_joiner
from headway.methods.plan.lines.joining import last_result as last_result
from headway.methods.plan.lines.literals import Ref as Ref
from headway.methods.plan.lines.literals import Template as Template
from headway.methods.plan.lines.reader import LineError as LineError
from headway.methods.plan.lines.reader import PlanReader as PlanReader
from headway.methods.plan.lines.reader import Use as Use
from headway.methods.plan.lines.reader import read_plan as read_plan
from headway.methods.plan.lines.so_far import Line as Line
from headway.methods.plan.lines.so_far import SoFar as SoFar
from headway.methods.plan.lines.so_far import planner_prompt as planner_prompt
from headway.methods.plan.lines.taskmatrix import Api as Api
from headway.methods.plan.lines.taskmatrix import Feedback as Feedback
from headway.methods.plan.lines.taskmatrix import Platform as Platform
from headway.methods.plan.lines.taskmatrix import Served as Served
from headway.methods.plan.lines.taskmatrix import task_matrix as task_matrix
from headway.methods.plan.lines.using import STEP_ERRORS as STEP_ERRORS
from headway.methods.plan.lines.using import StepFailed as StepFailed
from headway.methods.plan.lines.using import use_tools as use_tools
from headway.methods.plan.lines.writing import write_lines as write_lines
from headway.methods.plan.picture import draw as draw
from headway.methods.plan.picture import seconds_of as seconds_of
from headway.methods.plan.policies import one_by_one as one_by_one
from headway.methods.plan.policies import rounds as rounds
from headway.methods.plan.records import Asked as Asked
from headway.methods.plan.records import DeviceLost as DeviceLost
from headway.methods.plan.records import Edited as Edited
from headway.methods.plan.records import Ended as Ended
from headway.methods.plan.records import Executed as Executed
from headway.methods.plan.records import Failure as Failure
from headway.methods.plan.records import Happening as Happening
from headway.methods.plan.records import Lost as Lost
from headway.methods.plan.records import PlanFailed as PlanFailed
from headway.methods.plan.records import Planned as Planned
from headway.methods.plan.records import Refused as Refused
from headway.methods.plan.records import Started as Started
from headway.methods.plan.searching import HYBRID as HYBRID
from headway.methods.plan.searching import PARALLEL as PARALLEL
from headway.methods.plan.searching import Looked as Looked
from headway.methods.plan.searching import Searched as Searched
from headway.methods.plan.searching import Tags as Tags
from headway.methods.plan.searching import deep_search as deep_search
from headway.methods.plan.tags.apr import Speech as Speech
from headway.methods.plan.tags.apr import Thread as Thread
from headway.methods.plan.tags.apr import apr as apr
from headway.methods.plan.tags.multiverse import Woven as Woven
from headway.methods.plan.tags.multiverse import multiverse as multiverse
from headway.methods.plan.tags.reading import TagReader as TagReader
from headway.methods.plan.tags.reading import quote as quote
from headway.methods.plan.tags.unified import Marked as Marked
from headway.methods.plan.tags.unified import Routed as Routed
from headway.methods.plan.tags.unified import Unified as Unified
from headway.methods.plan.tags.unified import unified as unified
from headway.methods.plan.tura import Retrieved as Retrieved
from headway.methods.plan.tura import SubQuestion as SubQuestion
from headway.methods.plan.tura import tura as tura
