"""Parts of a state that put themselves into an inventory: flat buffers, generators, cursors, values of single ranks."""
