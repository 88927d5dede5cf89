"""Headway runs parallel AI programs that never lose progress."""

from headway.engine import events as events
from headway.engine.handle import Handle as Handle
from headway.engine.launch import Happened as Happened
from headway.engine.plan import PlannedCall as PlannedCall
from headway.engine.plan import ResumePlan as ResumePlan
from headway.engine.retry import Retry as Retry
from headway.engine.signature import unkeyed as unkeyed
from headway.errors import *  # noqa: F403
from headway.inside import call as call
from headway.inside import now as now
from headway.inside import random as random
from headway.inside import sleep as sleep
from headway.inside import wait_event as wait_event
from headway.join import Settled as Settled
from headway.join import as_completed as as_completed
from headway.join import gather as gather
from headway.join import map as map
from headway.join import race as race
from headway.join import settle as settle
from headway.join import wait as wait
from headway.journal.declared import register as register
from headway.journal.memory import MemoryStore as MemoryStore
from headway.journal.sqlite import SqliteStore as SqliteStore
from headway.run import arun as arun
from headway.run import cancel as cancel
from headway.run import fork as fork
from headway.run import resume as resume
from headway.run import run as run
from headway.run import signal as signal
from headway.scope import budget as budget
from headway.scope import charge as charge
from headway.scope import deadline as deadline
from headway.scope import limit as limit
from headway.scope import remaining as remaining
from headway.scope import time_left as time_left
from headway.task import Task as Task
from headway.task import ref as ref
from headway.task import task as task

__version__ = "0.1.0"
