"""Who does which task: the best assignment, and a learned policy that comes close without being told what pairs are worth."""
