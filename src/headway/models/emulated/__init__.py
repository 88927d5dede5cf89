"""Tools and schemas for models whose server knows neither: told in the prompt, held by a grammar, read back from the text.

Pure functions from requests to requests, from requests to grammars, from text to calls. `models.local` uses them: llama.cpp ignores
tools, without a word, when a model's chat template knows none.
"""
