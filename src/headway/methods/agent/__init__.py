"""The plain loop of an agent: a model that asks for tools until it answers.

    from headway.methods.agent import agent, delegate

`loop` is the loop, `transcript` its pure decisions about the conversation, `compacting` shortens one that grew too long,
`delegating` lets a model give parts of its task to others, `records` has what comes of it.
"""

from headway.methods.agent.delegating import delegate as delegate
from headway.methods.agent.loop import agent as agent
from headway.methods.agent.records import Answer as Answer
from headway.methods.agent.records import Called as Called
from headway.methods.agent.records import Heard as Heard
from headway.methods.agent.records import Returned as Returned
from headway.methods.agent.records import Said as Said
