"""Values of a state that are no arrays: as JSON, and back as the Python values that they were."""
