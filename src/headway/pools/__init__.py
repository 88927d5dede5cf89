"""Where code runs, and how to bring your own pool (docs/pools.md).

Everything you need to write a pool is here: the protocol, jobs and answers, and `pack`, `run_packed` and `unpack` for code that
runs in another process, container or machine.
"""

from headway.pools.base import A_SLOT as A_SLOT
from headway.pools.base import Answer as Answer
from headway.pools.base import CallFacts as CallFacts
from headway.pools.base import Demand as Demand
from headway.pools.base import FunctionRef as FunctionRef
from headway.pools.base import Job as Job
from headway.pools.base import Pool as Pool
from headway.pools.base import Traits as Traits
from headway.pools.parcel import pack as pack
from headway.pools.parcel import run_packed as run_packed
from headway.pools.parcel import unpack as unpack
