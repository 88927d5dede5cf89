"""Parts of a state that know by themselves what they put into an inventory: flat buffers, generators, cursors, what ranks have."""
