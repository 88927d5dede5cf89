"""Where a tensor's parts lie: boxes, sharding by dimension, and the rules by which a program declares a layout."""
