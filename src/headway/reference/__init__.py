"""Small models that this project trained, with their recipes. Nothing but `bench/` and `headway.models.open` knows them."""
