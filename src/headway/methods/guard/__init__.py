"""Guards between a model and the world: what it may know, what it may do, and what it may be told.

    from headway.methods.guard import open_vault, Separation, Monitor, responsible

`vault` keeps secrets inside of the calls that need them, `responsible` judges a call before and after it, `monitor` judges all that
an agent has asked so far, `separation` keeps what strangers wrote away from what has an effect, `redaction` takes out what looks
like a secret. Importing this package needs no extra; `redact` does.
"""

from headway.methods.guard.cleaning import SecretInResult as SecretInResult
from headway.methods.guard.cleaning import ToolFailed as ToolFailed
from headway.methods.guard.gates import Guard as Guard
from headway.methods.guard.gates import open_gates as open_gates
from headway.methods.guard.judges import Judge as Judge
from headway.methods.guard.judges import Ruling as Ruling
from headway.methods.guard.judges import ask_model as ask_model
from headway.methods.guard.monitor import Halted as Halted
from headway.methods.guard.monitor import Monitor as Monitor
from headway.methods.guard.quarantine import Unreadable as Unreadable
from headway.methods.guard.quarantine import find_free_text as find_free_text
from headway.methods.guard.quarantine import quarantine as quarantine
from headway.methods.guard.redaction import Suspect as Suspect
from headway.methods.guard.redaction import find_suspects as find_suspects
from headway.methods.guard.redaction import redact as redact
from headway.methods.guard.responsible import Incomplete as Incomplete
from headway.methods.guard.responsible import Infeasible as Infeasible
from headway.methods.guard.responsible import responsible as responsible
from headway.methods.guard.separation import Separation as Separation
from headway.methods.guard.separation import mark_untrusted as mark_untrusted
from headway.methods.guard.vault import Vault as Vault
from headway.methods.guard.vault import open_vault as open_vault
