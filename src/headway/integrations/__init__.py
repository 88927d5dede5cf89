"""Other people's frameworks on Headway, each through the interface that it offers for that.

    from headway.integrations.pydantic_ai import HeadwayDurability      # agents of pydantic-ai: each turn and tool call is recorded
    from headway.integrations.langgraph import HeadwaySaver             # threads of LangGraph, in a Headway store

Importing this package needs none of them. A module here knows its framework by its public names alone, and keeps no state beside
the store. Nothing else in Headway may import from here.
"""
