"""Finding the right few tools among thousands: `toolbox` ranks them, by words (`bm25`) or by vectors; `queries` lets a model write
what people might ask of each; `shelf` is what one conversation has found so far."""
