"""Guards between a model and the world: what it may know, what it may do, and what it may be told.

    from headway.methods.guard import open_vault, Separation, Monitor, responsible

`vault` keeps secrets inside of the calls that need them, `responsible` judges a call before and after it, `monitor` judges all that
an agent has asked so far, `separation` keeps what strangers wrote away from what has an effect, `redaction` takes out what looks like
a secret. Importing this package needs no extra; `redact` does.
"""

from headway.methods.guard.cleaning import SecretInResult as SecretInResult
from headway.methods.guard.cleaning import ToolFailed as ToolFailed
from headway.methods.guard.redaction import Suspect as Suspect
from headway.methods.guard.redaction import find_suspects as find_suspects
from headway.methods.guard.redaction import redact as redact
from headway.methods.guard.vault import Vault as Vault
from headway.methods.guard.vault import open_vault as open_vault
