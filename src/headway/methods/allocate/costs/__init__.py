"""What more compute will cost and gain, before it is spent: saturation, eFLOPs, and inputs cut into blocks."""

from headway.methods.allocate.costs.kinetics import Choice as Choice
from headway.methods.allocate.costs.kinetics import Cost as Cost
from headway.methods.allocate.costs.kinetics import Transformer as Transformer
from headway.methods.allocate.costs.kinetics import Tried as Tried
from headway.methods.allocate.costs.kinetics import choose_model as choose_model
from headway.methods.allocate.costs.kinetics import pass_at as pass_at
from headway.methods.allocate.costs.ttspm import Saturation as Saturation
from headway.methods.allocate.costs.ttspm import fit_saturation as fit_saturation
