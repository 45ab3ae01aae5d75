"""What arrives at the front door, before the use case: the request, its body, its write key, and the answer."""
