"""Research by gaps: a plan of searches that grows where something is lacking, until nothing is.

    report = await research("How did Malta get its languages?", model_parts(model, [search, read]))
    print(report.text, report.stopped, write_trail(report.trail))

`loop` is the research, on the graph and the executor of all plans. `rubric` are the records that its parts exchange, `gaps` makes
gaps into edits of the plan, `steps` are its calls, `report` and `audit` say what came of it and why. `model_parts` makes the parts
from a model.
"""

from headway.methods.plan.research.audit import Entry as Entry
from headway.methods.plan.research.audit import check_trail as check_trail
from headway.methods.plan.research.audit import write_trail as write_trail
from headway.methods.plan.research.gaps import Query as Query
from headway.methods.plan.research.loop import research as research
from headway.methods.plan.research.model_parts import model_parts as model_parts
from headway.methods.plan.research.report import Report as Report
from headway.methods.plan.research.rubric import Criterion as Criterion
from headway.methods.plan.research.rubric import Cycle as Cycle
from headway.methods.plan.research.rubric import Evidence as Evidence
from headway.methods.plan.research.rubric import Finding as Finding
from headway.methods.plan.research.rubric import Gap as Gap
from headway.methods.plan.research.steps import Parts as Parts
