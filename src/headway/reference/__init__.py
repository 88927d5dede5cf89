"""Small models that this project trained, with their recipes. Only `bench/` and `headway.models.open` use them."""
