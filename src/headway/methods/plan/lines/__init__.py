"""Plans of numbered lines that a model writes: `1. lookup("Italy", "area")`.

`reader` reads lines while they are written, `literals` their arguments, and `grammar` holds a local model to what can be read.
`writing` makes a planner of a model and `using` the step that calls a tool; `so_far` is what models are told. `joining` answers or
asks for more. `compiler` is LLMCompiler, `taskmatrix` is TaskMatrix.AI.
"""
