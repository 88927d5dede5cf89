"""Agents that choose how to spend: which branch, which model, which graph of agents, how hard a step is worked on.

Policies (`Bats`, `Sale`, `Scale`) run under `allocate.run_plan` and `allocate.run_map`. Coroutines (`bats`, `auction`, `agent_tts`,
`agent_reinforce`, `scale`, `drqa`) make calls of the parts that they are given, inside the budgets around them.
"""

from headway.methods.allocate.agents.agent_reinforce import AgentGraph as AgentGraph
from headway.methods.allocate.agents.agent_reinforce import Logits as Logits
from headway.methods.allocate.agents.agent_reinforce import Reward as Reward
from headway.methods.allocate.agents.agent_reinforce import Seat as Seat
from headway.methods.allocate.agents.agent_reinforce import Shaped as Shaped
from headway.methods.allocate.agents.agent_reinforce import agent_reinforce as agent_reinforce
from headway.methods.allocate.agents.agent_reinforce import choose_graph as choose_graph
from headway.methods.allocate.agents.agent_reinforce import draw_within as draw_within
from headway.methods.allocate.agents.agent_tts import Guided as Guided
from headway.methods.allocate.agents.agent_tts import Plan as Plan
from headway.methods.allocate.agents.agent_tts import Setup as Setup
from headway.methods.allocate.agents.agent_tts import SubTask as SubTask
from headway.methods.allocate.agents.agent_tts import Tuned as Tuned
from headway.methods.allocate.agents.agent_tts import Tuning as Tuning
from headway.methods.allocate.agents.agent_tts import agent_tts as agent_tts
from headway.methods.allocate.agents.agent_tts import count_units as count_units
from headway.methods.allocate.agents.bats import Bats as Bats
from headway.methods.allocate.agents.bats import bats as bats
from headway.methods.allocate.agents.drqa import Answered as Answered
from headway.methods.allocate.agents.drqa import drqa as drqa
from headway.methods.allocate.agents.drqa import share_quota as share_quota
from headway.methods.allocate.agents.drqa import worth_asking as worth_asking
from headway.methods.allocate.agents.sale import Auction as Auction
from headway.methods.allocate.agents.sale import Bid as Bid
from headway.methods.allocate.agents.sale import Past as Past
from headway.methods.allocate.agents.sale import Sale as Sale
from headway.methods.allocate.agents.sale import Strategy as Strategy
from headway.methods.allocate.agents.sale import Tried as Tried
from headway.methods.allocate.agents.sale import Weights as Weights
from headway.methods.allocate.agents.sale import auction as auction
from headway.methods.allocate.agents.sale import fit_weights as fit_weights
from headway.methods.allocate.agents.sale import overlap as overlap
from headway.methods.allocate.agents.sale import recall_lessons as recall_lessons
from headway.methods.allocate.agents.scale import Scale as Scale
from headway.methods.allocate.agents.scale import Scaled as Scaled
from headway.methods.allocate.agents.scale import Step as Step
from headway.methods.allocate.agents.scale import is_slow as is_slow
from headway.methods.allocate.agents.scale import scale as scale
from headway.methods.allocate.agents.tracker import REGIMES as REGIMES
from headway.methods.allocate.agents.tracker import Move as Move
from headway.methods.allocate.agents.tracker import Regime as Regime
from headway.methods.allocate.agents.tracker import Tracker as Tracker
from headway.methods.allocate.agents.tracker import decide_after as decide_after
from headway.methods.allocate.agents.tracker import judge_labels as judge_labels
from headway.methods.allocate.agents.tracker import unified_cost as unified_cost
