"""What happens to one call?

Owns the APIs that customers call: the server, admission, the attempt from intent to ending, and the leases of this
worker. Does not own the rules it applies (limits, pricing, metering) nor any database. Invariants: no byte goes to a
vendor before its intent is durable; the client's last byte waits for a durable ending; every attempt ends once.
Retry: only a call whose vendor cannot have begun it (stale connection, no connection), as a new attempt.
"""
