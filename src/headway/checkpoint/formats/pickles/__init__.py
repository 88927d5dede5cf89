"""`torch.save` files and pickles, read as data: nothing in them is imported or called."""
