"""What calls and processes share: places of limits, rates of starts, names of results, items of collections."""
