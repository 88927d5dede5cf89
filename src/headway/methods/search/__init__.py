"""Search methods: spend compute on a question until it is answered, or until the budget or the deadline is used up.

A method is one public coroutine. Whoever calls it brings the parts (a model, a value head, a checker) as functions, usually tasks,
so that every sample, score and verdict is a call: journaled, budgeted, cancellable (`methods.protocols`). Decisions are pure
functions from numbers to numbers and can be tested without a runtime.

A method ends when it is done, or when the budget or the deadline around it is used up; then it returns the best so far. It never
has a queue, thread, counter or cache of its own, and draws no random numbers: all randomness is in the parts. A part gets an index
that no other call of the same search with the same state has, so a resumed search makes the same calls. (The only new ones can be
calls that the budget refused before and has room for now.) Two searches of the same question in the same call would make equal
calls: make each a task. Other searches may run side by side under `hw.gather`.
"""

from headway.methods.protocols import Embedder as Embedder
from headway.methods.protocols import Equal as Equal
from headway.methods.protocols import Generator as Generator
from headway.methods.protocols import Scorer as Scorer
from headway.methods.protocols import Selector as Selector
from headway.methods.protocols import Stepper as Stepper
from headway.methods.protocols import Verifier as Verifier
from headway.methods.records import Candidate as Candidate
from headway.methods.records import State as State
from headway.methods.records import Trial as Trial
from headway.methods.records import Verdict as Verdict
from headway.methods.search.failures import SAMPLE_ERRORS as SAMPLE_ERRORS
from headway.methods.search.failures import Failed as Failed
from headway.methods.search.failures import Failures as Failures
from headway.methods.search.found import Found as Found
from headway.methods.search.found import Stopped as Stopped
from headway.methods.search.found import choose as choose
from headway.methods.search.rounds import attempts as attempts
from headway.methods.search.rounds import first_accepted as first_accepted
from headway.methods.search.rounds import sequential_tokens as sequential_tokens
from headway.methods.search.sample.batch_prompt import BatchGenerator as BatchGenerator
from headway.methods.search.sample.batch_prompt import batch_prompt as batch_prompt
from headway.methods.search.sample.best_of_n import best_of_n as best_of_n
from headway.methods.search.sample.deep_prune import deep_prune as deep_prune
from headway.methods.search.sample.few import Lister as Lister
from headway.methods.search.sample.few import ListJudge as ListJudge
from headway.methods.search.sample.few import chops as chops
from headway.methods.search.sample.few import mbr as mbr
from headway.methods.search.sample.first_finish import first_finish as first_finish
from headway.methods.search.sample.majority import majority as majority
from headway.methods.search.sample.no_thinking import no_thinking as no_thinking
from headway.methods.search.sample.outlines import Follower as Follower
from headway.methods.search.sample.outlines import Outliner as Outliner
from headway.methods.search.sample.outlines import follow_outlines as follow_outlines
from headway.methods.search.sample.para_thinker import Summarizer as Summarizer
from headway.methods.search.sample.para_thinker import para_thinker as para_thinker
from headway.methods.search.sample.rag import Context as Context
from headway.methods.search.sample.rag import RagSize as RagSize
from headway.methods.search.sample.rag import Reader as Reader
from headway.methods.search.sample.rag import Retriever as Retriever
from headway.methods.search.sample.rag import answer_from_documents as answer_from_documents
from headway.methods.search.select.compute_optimal import compute_optimal as compute_optimal
from headway.methods.search.select.rag_scaling import RagScaling as RagScaling
from headway.methods.search.select.rag_scaling import RagTrial as RagTrial
from headway.methods.search.select.rag_scaling import fit_rag as fit_rag
from headway.methods.search.select.strategies import StrategyTable as StrategyTable
from headway.methods.search.select.strategies import cross_validate as cross_validate
from headway.methods.search.select.strategies import fit as fit
from headway.methods.search.select.which_pays import Pays as Pays
from headway.methods.search.select.which_pays import which_pays as which_pays
from headway.methods.search.stop.cgrs import Prober as Prober
from headway.methods.search.stop.cgrs import Writer as Writer
from headway.methods.search.stop.cgrs import certainty as certainty
from headway.methods.search.stop.cgrs import chance_of_ban as chance_of_ban
from headway.methods.search.stop.cgrs import suppress_reflection as suppress_reflection
from headway.methods.search.stop.mrt import Forcer as Forcer
from headway.methods.search.stop.mrt import Progress as Progress
from headway.methods.search.stop.mrt import stop_when_stalled as stop_when_stalled
from headway.methods.search.tree.a_star import a_star as a_star
from headway.methods.search.tree.backtrack import backtrack as backtrack
from headway.methods.search.tree.beam import beam_search as beam_search
from headway.methods.search.tree.dora import dora as dora
from headway.methods.search.tree.dvts import dvts as dvts
from headway.methods.search.tree.ets import ets as ets
from headway.methods.search.tree.grounded import Grounded as Grounded
from headway.methods.search.tree.grounded import Path as Path
from headway.methods.search.tree.grounded import Step as Step
from headway.methods.search.tree.grounded import grounded_search as grounded_search
from headway.methods.search.tree.loop import Allocate as Allocate
from headway.methods.search.tree.loop import tree_search as tree_search
from headway.methods.search.tree.rebase import rebase as rebase
from headway.methods.search.verify.diagnose import Diagnosis as Diagnosis
from headway.methods.search.verify.diagnose import diagnose as diagnose
from headway.methods.search.verify.flexible import verify_flexibly as verify_flexibly
from headway.methods.search.verify.genrm import Pool as Pool
from headway.methods.search.verify.genrm import Split as Split
from headway.methods.search.verify.genrm import choose_split as choose_split
from headway.methods.search.verify.genrm import fit_exponents as fit_exponents
from headway.methods.search.verify.genrm import solve_or_verify as solve_or_verify
from headway.methods.search.verify.solve_detect_verify import solve_detect_verify as solve_detect_verify
