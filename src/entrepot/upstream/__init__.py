"""Who is called, and how?

Owns the HTTP/1.1 client towards vendors (pools, deadlines, framing of answers), the choice of a route, and the built-in
model. Does not own meaning: an answer is bytes with a status here. Invariants: one request per connection at a time; a
connection that is not clean is never reused; every wait is bounded; no redirects. Retry: none here: a retry is a new
attempt with an intent of its own, so the gateway decides.
"""
