"""What torch's tensors, modules, optimizers and generators put into a state."""
