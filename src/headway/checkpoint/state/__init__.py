"""What a state holds, by name: from dictionaries, modules, optimizers and objects to boxes of arrays."""
