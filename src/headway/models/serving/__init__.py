"""A model offered over the OpenAI protocol: what `headway serve` runs."""
