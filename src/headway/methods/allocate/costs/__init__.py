"""What more compute will cost and gain, before it is spent: saturation, eFLOPs, and inputs cut into blocks."""

from headway.methods.allocate.costs.kinetics import Choice as Choice
from headway.methods.allocate.costs.kinetics import Cost as Cost
from headway.methods.allocate.costs.kinetics import Skill as Skill
from headway.methods.allocate.costs.kinetics import Transformer as Transformer
from headway.methods.allocate.costs.kinetics import choose_model as choose_model
from headway.methods.allocate.costs.kinetics import pass_at as pass_at
from headway.methods.allocate.costs.llm_algorithms import Blocks as Blocks
from headway.methods.allocate.costs.llm_algorithms import Growth as Growth
from headway.methods.allocate.costs.llm_algorithms import best_block as best_block
from headway.methods.allocate.costs.llm_algorithms import bound_count as bound_count
from headway.methods.allocate.costs.llm_algorithms import bound_order as bound_order
from headway.methods.allocate.costs.llm_algorithms import bound_search as bound_search
from headway.methods.allocate.costs.llm_algorithms import finish_in_turn as finish_in_turn
from headway.methods.allocate.costs.ttspm import Saturation as Saturation
from headway.methods.allocate.costs.ttspm import fit_saturation as fit_saturation
