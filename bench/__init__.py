"""What the product costs, measured here: start of the functions, time of a request, capacity units, shared polling."""
