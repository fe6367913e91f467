"""What operators write to Redis: jobs requeued, canceled, deleted and repaired; workers told to stop; all at rest.

It works on RQ's layouts 2 and 3 and with any prefix. Payloads are neither read nor changed.
"""
