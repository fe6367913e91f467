"""What people see of a deployment: frozen values, filled by ``ops.snapshot`` and read by every face of it.

Text in these values comes from Redis and the database as it stands: hostile until a face has made it harmless.
Instants are aware, in UTC. Durations are seconds.
"""
