"""Makes requests to vendors over HTTP, follows pages, reads answers and merges them."""
