"""What calls and processes share: budgets, places of limits, rates of starts."""
