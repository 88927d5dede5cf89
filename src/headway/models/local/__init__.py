"""Models in a GGUF file, run in this process by llama.cpp (`model`), which tools and schemas are made for here.

llama.cpp ignores tools, without a word, where a model's chat template knows none. So they are told in the prompt (`prompt`), held
by a grammar (`grammar`) and read back from the text (`reading`): pure functions from requests and texts.
"""
