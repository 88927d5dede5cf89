"""Programs of other frameworks, each with a side of ours and one of a peer: run in the peers' environment by `benchmarks.agents`.

python -m benchmarks.frames.agent SIDE FOLDER TURNS      an agent of pydantic-ai, durable by `headway` or `dbos`
python -m benchmarks.frames.talk SIDE FOLDER TURNS       a conversation of LangGraph, kept by `headway` or `sqlite`
"""
