"""When requests start: what is learnt of an endpoint, limits that are given, and the queue before both."""
